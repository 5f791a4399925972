#!/usr/bin/env bash
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.
#
# The demonstration through Spark on this machine's GPU, and on its CPU to compare with, from what pack.sh packed;
# then the CPU engine's own benchmark. run.sh runs it.
#
# run-job.sh RESULTS [cuda|cpu|bench]...   (all, without a word)
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
results=$(realpath -m "$1")
shift
parts=" ${*:-cuda cpu bench} "
mkdir -p "$results"
cd "$here"
status=0
export JAVA_HOME=$here/java
target=$here/spark-job/target
printf '%s\n' "$target"/lib/*.jar | paste -sd: >"$target/spark-class-path"
touch "$target"/moontide-*.jar

for backend in cuda cpu; do
  [[ $parts == *" $backend "* ]] || continue
  for job in label-intents write-requests; do
    command=$([[ $job == label* ]] && echo label || echo generate)
    echo "./moontide $command --config examples/$job.yaml --backend $backend"
    SECONDS=0
    timeout 120 ./moontide "$command" --config "examples/$job.yaml" --backend "$backend" --no-resume \
      --output "$results/$job-$backend.jsonl" --preserve-order >"$results/$job-$backend.txt" 2>&1 || status=1
    grep -E 'Backends|EngineLoader|^(errors|tokens|time|accuracy)|ERROR|Exception' "$results/$job-$backend.txt"
    echo "$SECONDS s in all"
  done
done
if [[ $parts == *" cuda "* && $parts == *" cpu "* ]]; then
  python3 - "$results" <<'PYTHON' | tee "$results/compare.txt"
import glob, json, sys
for job, column in (("label-intents", "label"), ("write-requests", "response")):
    rows = []
    for backend in ("cuda", "cpu"):
        files = sorted(glob.glob(f"{sys.argv[1]}/{job}-{backend}.jsonl/part-*"))
        rows.append([json.loads(line) for file in files for line in open(file)])
    equal = sum(a[column] == b[column] for a, b in zip(*rows))
    print(f"{job}: {equal} of {len(rows[0])} rows have the same {column} on both")
PYTHON
fi
if [[ $parts == *" bench "* ]]; then
  for processors in 2 "$(nproc)"; do
    echo "./moontide bench --backend cpu, on $processors processors"
    taskset -c "0-$((processors - 1))" timeout 120 ./moontide bench --backend cpu 2>&1 |
      tee "$results/bench-$processors.txt" || status=1
  done
fi
exit $status
