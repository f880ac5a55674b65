#!/bin/bash
# Encode recordings by a job array; each job does a share. Then merge the shares:
#
#   job=$(sbatch --parsable encode.sh OUT RECORDING...)
#   sbatch --dependency=afterok:$job --wrap "eventseg merge OUT"
#
#SBATCH --job-name=encode
#SBATCH --array=1-40
#SBATCH --cpus-per-task=2
#SBATCH --mem=2G
#SBATCH --output=%x-%A_%a.log
set -euo pipefail
out=$1
shift
srun eventseg encode "$@" --out "$out" --shard slurm --threads "$SLURM_CPUS_PER_TASK"
