#!/bin/bash
# Label a data set by a teacher in a job array with a GPU for each job. Then merge the shares:
#
#   job=$(sbatch --parsable label.sh DATA SET --teacher hf:/models/segformer-b5 --batch 8)
#   sbatch --dependency=afterok:$job --wrap "eventseg merge DATA --labels SET"
#
#SBATCH --job-name=label
#SBATCH --array=1-40
#SBATCH --gpus=1
#SBATCH --cpus-per-task=2
#SBATCH --mem=8G
#SBATCH --output=%x-%A_%a.log
set -euo pipefail
data=$1
set_name=$2
shift 2
srun eventseg pseudolabel "$data" --labels "$set_name" --shard slurm "$@"
