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
# A million short rows of token ids through a two-layer random model, one token each, in a driver of
# 1 GiB: shows that memory stays flat and what a row costs besides the model.
#   benchmarks/million-rows.sh [ROWS]
# Prints the job's summary, the heap after each full collection and the peak resident memory.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rows=${1:-1000000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

./moontide bench --quiet --save-model "$work/model" --prompts 1 --prompt-tokens 8 --new-tokens 2 --sequences 1 \
  --shape hidden_size=64,num_hidden_layers=2,intermediate_size=128,moe_intermediate_size=32,n_routed_experts=4,num_experts_per_tok=2,num_attention_heads=2,q_lora_rank=32,kv_lora_rank=32,qk_nope_head_dim=16,qk_rope_head_dim=8,v_head_dim=16,vocab_size=512,max_position_embeddings=256 \
  >/dev/null
awk -v rows="$rows" 'BEGIN {
  srand(1)
  for (i = 0; i < rows; i++) {
    printf "{\"id\": %d, \"ids\": [", i
    n = 4 + int(rand() * 9)
    for (t = 0; t < n; t++) printf "%s%d", t ? ", " : "", int(rand() * 500)
    print "]}"
  }
}' >"$work/rows.jsonl"

export JAVA_TOOL_OPTIONS="-Xlog:gc:file=$work/gc.log"
SECONDS=0
./moontide generate --model "$work/model" --input "$work/rows.jsonl" --id-column id --ids-column ids \
  --max-tokens 1 --driver-memory 1g --output "$work/out.parquet" 2>"$work/stderr" &
job=$!
peak=
while kill -0 "$job" 2>/dev/null; do
  peak=$(sed -n 's/^VmHWM:[[:space:]]*//p' "/proc/$job/status" 2>/dev/null || true)
  [[ -z $peak ]] || last_peak=$peak
  sleep 1
done
wait "$job" || { cat "$work/stderr" >&2; exit 1; }
echo "wall time: $SECONDS s; peak resident memory: $last_peak"
echo "heap after collections, first and last:"
grep -oE '[0-9]+M->[0-9]+M\([0-9]+M\)' "$work/gc.log" | sed -n '1,3p;$p'
