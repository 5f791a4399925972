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
# The demonstration on a standalone cluster whose worker has this machine's GPUs, found by the script that is shipped:
# with executors of one GPU each, as conf/spark-defaults-gpu.conf has them, with one executor of all GPUs, and on one
# GPU in one JVM. Says which engine took which device, and fails unless each has its own and all labels are equal.
# From what pack.sh packed; for a machine with two GPUs or more. run.sh runs it.
#
# run-cluster.sh RESULTS
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
results=$(realpath -m "$1")
mkdir -p "$results"
cd "$here"
status=0
export JAVA_HOME=$here/java
target=$here/spark-job/target
printf '%s\n' "$target"/lib/*.jar | paste -sd: >"$target/spark-class-path"
touch "$target"/moontide-*.jar
gpus=$(nvidia-smi --query-gpu=index --format=csv,noheader | grep -c .)
cores=$(($(nproc) / gpus > 8 ? 8 : $(nproc) / gpus))

# A folder that looks like an installed Spark is where a worker takes its executors' jars from.
export SPARK_HOME=$target/spark SPARK_LOCAL_IP=127.0.0.1 SPARK_SCALA_VERSION=2.13
mkdir -p "$SPARK_HOME/conf"
ln -sfn "$target/lib" "$SPARK_HOME/jars"
daemons=()
trap 'kill "${daemons[@]}" 2>/dev/null' EXIT
# daemon NAME PATTERN ARGUMENTS: starts one and waits for a line of its log.
daemon() {
  "$JAVA_HOME/bin/java" -Xmx1g -cp "$SPARK_HOME/jars/*" "${@:3}" >"$results/$1.log" 2>&1 &
  daemons+=($!)
  timeout 60 bash -c "until grep -q '$2' '$results/$1.log'; do sleep 0.2; done"
}
daemon master 'Starting Spark master at' -Dspark.master.rest.enabled=false org.apache.spark.deploy.master.Master \
  --host 127.0.0.1 --port 7077 --webui-port 0
daemon worker 'Successfully registered with master' -Dspark.worker.resource.gpu.amount="$gpus" \
  -Dspark.worker.resource.gpu.discoveryScript="$here/conf/discover-gpus.sh" org.apache.spark.deploy.worker.Worker \
  --host 127.0.0.1 --webui-port 0 --cores $((gpus * cores)) --memory 48g --work-dir "$results/executors" \
  spark://127.0.0.1:7077

# label NAME OPTIONS: the demonstration, its labels in the input's order.
label() {
  echo "label $1"
  SECONDS=0
  (
    unset SPARK_HOME
    timeout 150 ./moontide label --config examples/label-intents.yaml --backend cuda --no-resume --preserve-order \
      --output "$results/$1.jsonl" "${@:2}" >"$results/$1.txt" 2>&1
  ) || { status=1 && tail -5 "$results/$1.txt"; }
  grep -E '^(errors|accuracy)' "$results/$1.txt"
  echo "$SECONDS s in all"
}
gpu_executors=(--master spark://127.0.0.1:7077 --properties-file conf/spark-defaults-gpu.conf
  --conf spark.moontide.model=examples/models/tiny-k2-instruct --conf spark.moontide.backend=cuda
  --conf spark.executor.memory=4g --conf spark.executor.memoryOverhead=4g --conf spark.cores.max=$((gpus * cores)))
label alone
label one-each "${gpu_executors[@]}" --conf spark.executor.cores="$cores"
label all-in-one "${gpu_executors[@]}" --conf spark.executor.cores=$((gpus * cores)) \
  --conf spark.executor.resource.gpu.amount="$gpus"
for executor in "$results"/executors/app-*/*; do
  grep -hoE 'EngineLoader: .*' "$executor/stderr" | sed "s|^|${executor#"$results"/executors/}: |"
done | tee "$results/engines.txt"
for application in "$results"/executors/app-*; do
  devices=$(grep "^$(basename "$application")/" "$results/engines.txt" | grep -oE 'device [0-9]+ ' | sort -u | wc -l)
  engines=$(grep -c "^$(basename "$application")/" "$results/engines.txt")
  echo "$(basename "$application"): $engines engines on $devices devices"
  ((engines == gpus && devices == gpus)) || status=1
done
python3 - "$results" <<'PYTHON' || status=1
import glob, json, sys
labels = {}
for name in ("alone", "one-each", "all-in-one"):
    rows = [json.loads(line) for file in sorted(glob.glob(f"{sys.argv[1]}/{name}.jsonl/part-*")) for line in open(file)]
    labels[name] = [(row["id"], row["label"], row["label_probability"]) for row in rows]
    print(f"{name}: {len(rows)} rows, {sum(a == b for a, b in zip(labels[name], labels['alone']))} as alone")
sys.exit(any(rows != labels["alone"] or len(rows) != 4500 for rows in labels.values()))
PYTHON
exit $status
