#!/bin/bash
# Train on several nodes; a job that was stopped goes on when the same command is given again:
#
#   sbatch train.sh DATA RUN --network evsegnet --batch-size 32 --epochs 60
#
# DATA and RUN lie on storage that all nodes share. The batch is that of all GPUs together. Without
# GPUs each node trains by one process; PROCESSES=N sets another number.
#
#SBATCH --job-name=train
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --mem=64G
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -euo pipefail
data=$1
run=$2
shift 2
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
processes=${PROCESSES:-${SLURM_GPUS_ON_NODE:-1}}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((SLURM_CPUS_PER_TASK / processes))}
# Processes of a node that fails are ended by torchrun, those of the other nodes by srun.
srun --kill-on-bad-exit=1 torchrun \
    --nnodes "$SLURM_NTASKS" --nproc-per-node "$processes" \
    --rdzv-id "$SLURM_JOB_ID" --rdzv-backend c10d \
    --rdzv-endpoint "$head:$((20000 + SLURM_JOB_ID % 20000))" \
    --no-python eventseg train "$data" --out "$run" --resume "$@"
