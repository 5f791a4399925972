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
# Checks and times the CUDA backend on this machine's GPU, from what pack.sh packed: the operations against
# float64, bit invariance, the small models' goldens and engines, then steps of Kimi-K2's own layer
# dimensions, drawing tokens, loading a checkpoint, then memory errors by compute-sanitizer. Results and what they
# were measured on go to the folder given.
#
# run.sh RESULTS [check|time|draw|load|memory|job]...   (all, without a word)
# job: the demonstration through Spark, where what pack-job.sh packed lies beside this folder.
# EXAMPLES=FOLDER, the repository's examples, has it label the demonstration's rows too; CHECKPOINT=FOLDER is where
# the checkpoint that is loaded is written: LOAD_EXPERTS experts (256: 13 GB; 900: 41 GB).
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
results=$1
shift
parts=${*:-check time draw load memory job}
mkdir -p "$results"
class_path=$here/classes:$here/test-classes:$here/natives:$(printf '%s:' "$here"/lib/*.jar)
java=("$here/java/bin/java" --add-modules=jdk.incubator.vector -Xmx8g -Dmoontide.root="$here"
  -Dmoontide.test.gpu=true -cp "$class_path")
status=0

{
  echo "commit $(cat "$here/commit")"
  date -u +%Y-%m-%dT%H:%M:%SZ
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.mem,clocks.max.sm --format=csv
} | tee "$results/machine.txt"

tests=dev.moontide
if [[ $parts == *check* ]]; then
  timeout 120 "${java[@]}" dev.moontide.device.DeviceTests \
    $tests.cuda.CudaOpsAgreementTest $tests.cuda.CudaBitInvarianceTest $tests.cuda.QuantizedProductsTest \
    $tests.cuda.CudaAttentionTest $tests.model.HopperPathTest "$tests.model.GoldenLogitsTest#hopperAgreesInNormAndFirstChoice" \
    "$tests.model.GoldenLogitsTest#cudaAgreesInNormAndFirstChoice(java.lang.String,dev.moontide.cuda.KernelPath)" \
    "$tests.engine.EngineInvarianceTest#sameBitsOnAGpuAloneAndInAnyBatch(java.lang.String,int,java.lang.String)" \
    $tests.engine.DeviceDrawsTest \
    2>&1 | tee "$results/checks.txt"
  [[ ${PIPESTATUS[0]} == 0 ]] || status=1
fi
if [[ $parts == *check* && -n ${EXAMPLES:-} ]]; then
  timeout 60 "${java[@]}" dev.moontide.device.DeviceLabels cuda "$EXAMPLES" "$here/labels.json" 2>&1 |
    tee "$results/labels.txt"
  [[ ${PIPESTATUS[0]} == 0 ]] || status=1
fi
if [[ $parts == *time* ]]; then
  timeout 150 "${java[@]}" dev.moontide.device.DeviceTimings 16384 decode=1x512 decode=64x512 decode=256x512 \
    decode=1024x512 decode=1x4096 decode=64x4096 decode=256x4096 decode=1024x4096 prefill=1x2048 prefill=8x1024 \
    prefill=1x8192 prefill=16x1024 prefill=8x2048 prefill=1x16384 sample=64x512 sample=256x512 sample=1024x512 \
    operations decode=1x512 decode=256x512 sample=1024x4096 prefill=16x1024 \
    2>&1 | tee "$results/timings.txt"
  [[ ${PIPESTATUS[0]} == 0 ]] || status=1
  timeout 90 "${java[@]}" -Dmoontide.cuda.path=simple dev.moontide.device.DeviceTimings 2048 decode=64x512 \
    operations decode=256x512 prefill=1x2048 2>&1 | tee "$results/timings-simple.txt"
  [[ ${PIPESTATUS[0]} == 0 ]] || status=1
  timeout 90 "${java[@]}" -Dmoontide.cuda.path=mma dev.moontide.device.DeviceTimings 8192 decode=64x512 decode=256x512 \
    decode=256x4096 prefill=8x1024 operations decode=256x512 prefill=8x1024 2>&1 | tee "$results/timings-mma.txt"
  [[ ${PIPESTATUS[0]} == 0 ]] || status=1
fi
if [[ $parts == *draw* ]]; then
  timeout 90 "${java[@]}" $tests.cuda.DeviceDraws 2>&1 | tee "$results/draws.txt"
  [[ ${PIPESTATUS[0]} == 0 ]] || status=1
fi
if [[ $parts == *load* ]]; then
  checkpoint=${CHECKPOINT:-$(mktemp -d)/checkpoint}
  timeout 120 "${java[@]}" $tests.cuda.DeviceLoading "$checkpoint" "${LOAD_EXPERTS:-256}" 2>&1 | tee "$results/loading.txt"
  [[ ${PIPESTATUS[0]} == 0 ]] || status=1
  [[ -n ${CHECKPOINT:-} ]] || rm -r "$(dirname "$checkpoint")"
fi
if [[ $parts == *memory* ]]; then
  if command -v compute-sanitizer >/dev/null; then
    timeout 90 compute-sanitizer --tool memcheck --report-api-errors no --error-exitcode 9 "${java[@]}" dev.moontide.device.DeviceTests \
      "$tests.model.GoldenLogitsTest#cudaAgreesInNormAndFirstChoice(java.lang.String,dev.moontide.cuda.KernelPath)" \
      "$tests.model.GoldenLogitsTest#hopperAgreesInNormAndFirstChoice" \
      "$tests.model.HopperPathTest#rowsHaveTheSameBitsInAnySteps" \
      "$tests.model.HopperPathTest#trieTokensHaveTheBitsOfTheirPath" \
      >"$results/memcheck.txt" 2>&1
    echo "compute-sanitizer memcheck: exit $? (124: stopped after 90 s)" | tee -a "$results/checks.txt"
    grep -E 'ERROR SUMMARY|Invalid|passed' "$results/memcheck.txt" | tail -5 | tee -a "$results/checks.txt"
  fi
fi
if [[ $parts == *job* && -x $here/../job/run-job.sh ]]; then
  "$here/../job/run-job.sh" "$results/job" cuda cpu || status=1
fi
exit $status
