#!/bin/bash
# A sweep as one Slurm job: Ray on every node of the allocation, `rein sweep` on the first; nothing is left behind.
#   sbatch sweeps/cluster/slurm.sh paper_rank           # any words of `rein sweep`: a sweep, key=value, --jobs 8
#   sbatch --nodes=1 sweeps/cluster/slurm.sh paper_rank # the lines below are defaults; partition and account are yours
#   scancel JOB                                        # ends it at once, at the cost of a checkpoint interval
# RUNS and DATA (here below $HOME) lie on a disk that all nodes mount; caches go to the node's own /tmp.
# Two minutes before its time is up, or when it is preempted, the job stops `rein` in peace and queues itself again;
# the same command then goes on from the checkpoints. A node that fails does the same (--requeue).
# --exclusive, because Ray's ports and `ray stop`, with which symmetric-run ends, would meet another job of yours.
# The token (~/.ray/auth_token, made on the first use, yours alone to read) keeps others on the network out.
#SBATCH --job-name=rein
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=rein-%j.log
set -u

export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
export REIN_RUNS="${RUNS:-$HOME/rein/runs}" REIN_DATA="${DATA:-$HOME/rein/data}"
export HF_HOME="${HF_HOME:-/tmp/$USER-rein-hub}" REIN_CACHE="${REIN_CACHE:-/tmp/$USER-rein-cache}"
[ -s ~/.ray/auth_token ] || (umask 077; ray get-auth-token --generate > /dev/null) || exit 1

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)    # this script runs there too
driver="${TMPDIR:-/tmp}/rein-driver-$SLURM_JOB_ID"                   # the pid of `rein`
asked=0

srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --wait=60 \
    ray symmetric-run --address "$head:6379" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus="${SLURM_CPUS_PER_TASK:-1}" --num-gpus="${SLURM_GPUS_ON_NODE:-0}" -- \
    bash -c 'echo $$ > "$0"; exec rein sweep "$@" --address auto' "$driver" "$@" &
step=$!
# Only `rein` is asked to stop: the runs write their checkpoints, and Ray ends behind it.
trap 'asked=1; kill -TERM "$(cat "$driver" 2> /dev/null || echo "$step")"' TERM

wait "$step"; code=$?
while kill -0 "$step" 2> /dev/null; do    # a signal ends `wait`, not the step
    wait "$step"; code=$?
done
rm -f "$driver"
[ "$asked" = 1 ] && [ "$code" -ne 0 ] && scontrol requeue "$SLURM_JOB_ID"
exit "$code"
