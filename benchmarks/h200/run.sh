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
# Checks and times the CUDA backend on this machine's GPU, and runs the demonstration through Spark on it, from what
# pack.sh packed, in less than ten minutes:
#   check   operations against float64, bit invariance, the small models' goldens and engines
#   cpu     the CPU backend's operations and bits on this machine's processor, and as older ones compute
#   kernels the kernels for sm_90 by themselves: against float64 on odd shapes with poisoned memory, bits
#   job     the demonstration's two jobs on the GPU and on the CPU (run-job.sh)
#   cluster the demonstration on a cluster of this machine's GPUs, if it has two or more (run-cluster.sh)
#   time    steps of Kimi-K2's own layer dimensions on each path, and their operations
#   draw    drawing tokens
#   load    loading a checkpoint from the page cache
#   memory  memory errors, by compute-sanitizer
# Results and what they were measured on go to the folder given.
#
# run.sh RESULTS [PART]...   (all, without a word; job=cuda, job=cpu and job=bench are parts of job)
# CHECKPOINT=FOLDER is where the checkpoint that is loaded is written: LOAD_EXPERTS experts (256: 13 GB; 900: 41 GB).
set -uo pipefail
SECONDS=0
limit=590 # seconds for all
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$1"
results=$(realpath "$1")
shift
parts=("$@")
((${#parts[@]} > 0)) || parts=(check cpu kernels job cluster time draw load memory)
for part in "${parts[@]}"; do
  [[ $part =~ ^(check|cpu|kernels|job|job=cuda|job=cpu|job=bench|cluster|time|draw|load|memory)$ ]] || {
    echo "run.sh: there is no part $part" >&2
    exit 2
  }
done
status=0
times=()

# run LABEL SECONDS FILE COMMAND...: its output goes to the file, too; told is how long it took.
run() {
  local label=$1 most=$2 file=$3 start=$SECONDS
  shift 3
  local left=$((limit - SECONDS))
  if ((left < 10)); then
    times+=("$label: left out, for the $limit s are over")
    status=1
    return
  fi
  timeout $((most < left ? most : left)) "$@" 2>&1 | tee -a "$results/$file"
  local exit=${PIPESTATUS[0]}
  local told="$label: $((SECONDS - start)) s"
  if ((exit != 0)); then
    status=1
    told+=", exit $exit"
    ((exit != 124)) || told+=" (stopped after $most s)"
  fi
  times+=("$told")
  echo "$told"
}

if [[ ! -x $here/h200/java/bin/java ]]; then
  cat "$here"/h200.tar.xz.part-* | tar -C "$here" -xJf - || exit 1
fi
bundle=$here/h200
times+=("unpack: $SECONDS s")
class_path=$bundle/test-classes:$(printf '%s:' "$bundle"/spark-job/target/moontide-*.jar "$bundle"/lib/*.jar)$bundle/spark-job/target/lib/*
java=("$bundle/java/bin/java" --add-modules=jdk.incubator.vector -Xmx8g -Dmoontide.root="$bundle"
  -Dmoontide.test.gpu=true -Dlog4j2.configurationFile="$bundle/conf/log4j2.properties" -cp "$class_path")
export JAVA_HOME=$bundle/java

{
  echo "commit $(<"$bundle/commit")"
  date -u +%Y-%m-%dT%H:%M:%SZ
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.mem,clocks.max.sm --format=csv
  grep -m 1 'model name' /proc/cpuinfo
  echo "$(nproc) processors"
  grep -m 1 -oE 'amx_bf16|avx512_bf16' /proc/cpuinfo
} 2>&1 | tee "$results/machine.txt"

tests=dev.moontide
precision='dev.moontide.api.EngineOptions$Precision'
goldens="$tests.model.GoldenLogitsTest#cudaAgreesInNormAndFirstChoice(java.lang.String,dev.moontide.cuda.KernelPath)"

# timings PATH SECONDS FILE ARGUMENTS...: steps on a path's kernels.
timings() {
  run "time: $1" "$2" "$3" "${java[@]}" -Dmoontide.cuda.path="$1" dev.moontide.device.DeviceTimings "${@:4}"
}

for part in "${parts[@]}"; do
  case $part in
    check)
      run check 150 checks.txt "${java[@]}" dev.moontide.device.DeviceTests \
        $tests.cuda.CudaOpsAgreementTest $tests.cuda.CudaBitInvarianceTest $tests.cuda.QuantizedProductsTest \
        $tests.cuda.CudaAttentionTest $tests.model.HopperPathTest \
        "$tests.model.GoldenLogitsTest#hopperAgreesInNormAndFirstChoice" "$goldens" \
        "$tests.engine.EngineInvarianceTest#sameBitsOnAGpuAloneAndInAnyBatch(java.lang.String,int,java.lang.String)" \
        $tests.engine.DeviceDrawsTest
      ;;
    cpu)
      for isa in ALL AVX512_CORE_BF16 AVX512_CORE AVX2; do
        ONEDNN_MAX_CPU_ISA=$isa OMP_NUM_THREADS=1 run "cpu: $isa" 60 "cpu-$isa.txt" "${java[@]}" \
          dev.moontide.device.DeviceTests $tests.cpu.MatmulKernelTest $tests.cpu.CpuOpsAgreementTest \
          $tests.cpu.CpuAttentionTest $tests.cpu.CpuBitInvarianceTest \
          "$tests.engine.EngineInvarianceTest#sameBitsAloneAndInAnyBatch(java.lang.String,$precision,int)"
      done
      ;;
    kernels)
      run "kernels: hopper" 60 kernels.txt "$bundle/kernels/kernels" --check
      run "kernels: mma" 60 kernels-mma.txt "$bundle/kernels/mma" checks
      ;;
    job) run job 150 job.txt "$bundle/run-job.sh" "$results/job" cuda cpu ;;
    cluster)
      if (($(nvidia-smi --query-gpu=index --format=csv,noheader | grep -c .) > 1)); then
        run cluster 150 cluster.txt "$bundle/run-cluster.sh" "$results/cluster"
      fi
      ;;
    job=*) run "$part" 250 job.txt "$bundle/run-job.sh" "$results/job" "${part#job=}" ;;
    time)
      timings hopper 120 timings.txt 16384 decode=1x512 decode=64x512 decode=256x512 \
        decode=1024x512 decode=1x4096 decode=64x4096 decode=256x4096 decode=1024x4096 prefill=1x2048 prefill=8x1024 \
        prefill=1x8192 prefill=16x1024 prefill=8x2048 prefill=1x16384 sample=64x512 sample=256x512 sample=1024x512 \
        operations decode=1x512 decode=256x512 sample=1024x4096 prefill=16x1024
      timings mma 60 timings-mma.txt 8192 decode=1x512 decode=64x512 decode=256x512 \
        decode=256x4096 prefill=8x1024 operations decode=64x512 decode=256x512 prefill=8x1024
      timings simple 60 timings-simple.txt 2048 decode=64x512 operations decode=256x512 \
        prefill=1x2048
      ;;
    draw) run draw 60 draws.txt "${java[@]}" $tests.cuda.DeviceDraws ;;
    load)
      checkpoint=${CHECKPOINT:-$(mktemp -d)/checkpoint}
      run load 90 loading.txt "${java[@]}" $tests.cuda.DeviceLoading "$checkpoint" "${LOAD_EXPERTS:-256}"
      [[ -n ${CHECKPOINT:-} ]] || rm -r "$(dirname "$checkpoint")"
      ;;
    memory)
      if command -v compute-sanitizer >/dev/null; then
        run memory 90 memcheck.txt compute-sanitizer --tool memcheck --report-api-errors no --error-exitcode 9 \
          "${java[@]}" dev.moontide.device.DeviceTests "$goldens" \
          "$tests.model.GoldenLogitsTest#hopperAgreesInNormAndFirstChoice" \
          "$tests.model.HopperPathTest#rowsHaveTheSameBitsInAnySteps" \
          "$tests.model.HopperPathTest#trieTokensHaveTheBitsOfTheirPath" > >(tail -n 8)
      else
        times+=("memory: left out, there is no compute-sanitizer")
      fi
      ;;
  esac
done
{
  printf '%s\n' "${times[@]}"
  echo "in all: $SECONDS s, $([[ $status == 0 ]] && echo passed || echo FAILED)"
} | tee "$results/summary.txt"
exit $status
