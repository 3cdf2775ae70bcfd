#!/bin/sh
# A trial of `tilewright tune` as a job of HyperQueue: tilewright tune ... --on 'command:sh hyperqueue.sh {job}'
# It waits until the job is over and ends as the job did. A job that nobody waits for any more ends by its time limit.
exec hq submit --wait --name "tw-$(basename "$1")" --time-limit 10m --crash-limit 1 ${RESOURCE:+--resource "$RESOURCE"} \
    --stdout "$1/hq.txt" --stderr "$1/hq.txt" -- "${TILEWRIGHT:-tilewright}" trial "$1" --on "${ON:-npu}"
