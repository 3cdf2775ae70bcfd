#!/bin/sh
# A trial of `tilewright tune` as a job of Slurm: tilewright tune ... --on 'command:sh slurm.sh {job}'
# It waits until the job is over, ends as the job did, and cancels the job when it is told to end.
name="tw-$(basename "$1")"
sbatch --wait --quiet --no-requeue --time=10 --job-name="$name" --output="$1/slurm.txt" \
    ${TILEWRIGHT_EXCLUDE:+--exclude="$TILEWRIGHT_EXCLUDE"} \
    --wrap "${TILEWRIGHT:-tilewright} trial '$1' --on ${ON:-npu}" &
trap 'scancel --quiet --name="$name"; exit 143' TERM
wait $!
