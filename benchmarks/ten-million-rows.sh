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
# Ten million short rows, the demonstration's requests again and again with ids of their own, one
# token each, through a two-layer random model, on two cores with 2 GiB of heap: shows that memory
# stays flat, and what a row costs besides the engine.
#   benchmarks/ten-million-rows.sh [ROWS] [OPTION…]
# Options go to moontide generate. Rows are drawn at temperature 1, as equal rows would be computed
# once otherwise (try --temperature 0). Prints the job's summary, the processor time of the JVM's
# threads by what they do (which a busy machine does not change much; start is the main thread's,
# once a job), the heap after collections and the peak of resident memory.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rows=${1:-10000000}
shift || true
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

tiny=examples/models/tiny-k2-instruct
./moontide bench --quiet --save-model "$work/model" --prompts 1 --prompt-tokens 8 --new-tokens 2 --sequences 1 \
  --shape hidden_size=64,num_hidden_layers=2,intermediate_size=128,moe_intermediate_size=32,n_routed_experts=4,num_experts_per_tok=2,num_attention_heads=2,q_lora_rank=32,kv_lora_rank=32,qk_nope_head_dim=16,qk_rope_head_dim=8,v_head_dim=16,vocab_size=4096,max_position_embeddings=256 \
  >/dev/null
cp "$tiny"/{tiktoken.model,tokenizer_config.json} "$work/model"
awk -v rows="$rows" '
  { sub(/^[{]"id": *"[^"]*"/, ""); rest[n++] = $0 }
  END { for (i = 0; i < rows; i++) print "{\"id\": \"" i "\"" rest[i % n] }
' examples/data/clinc150/test.jsonl >"$work/rows.jsonl"

# Sums, over the threads of process $1, the processor time by what they do.
threads() {
  for task in /proc/"$1"/task/*; do
    if { read -r name <"$task/comm" && read -r stat <"$task/stat"; } 2>/dev/null; then
      read -ra fields <<<"${stat##*) }"
      echo "${task##*/} $((fields[11] + fields[12])) $name"
    fi
  done
}

export JAVA_TOOL_OPTIONS="-Xlog:gc:file=$work/gc.log"
SECONDS=0
./moontide generate --model "$work/model" --input "$work/rows.jsonl" --id-column id --prompt '{{ text }}' --raw \
  --max-tokens 1 --temperature 1 --master 'local[2]' --driver-memory 2g --output "$work/out.parquet" "$@" \
  2>"$work/stderr" &
job=$!
last_peak=
while kill -0 "$job" 2>/dev/null; do
  peak=$(sed -n 's/^VmHWM:[[:space:]]*//p' "/proc/$job/status" 2>/dev/null || true)
  [[ -z $peak ]] || last_peak=$peak
  threads "$job" >>"$work/threads"
  sleep 2
done
wait "$job" || {
  cat "$work/stderr" >&2
  exit 1
}
echo "wall time: $SECONDS s; peak resident memory: $last_peak"
echo "processor time by threads:"
awk -v rows="$rows" -v hz="$(getconf CLK_TCK)" '
  $2 > ticks[$1] { ticks[$1] = $2; $2 = ""; name = $0; sub(/^[0-9]+ +/, "", name); names[$1] = name }
  END {
    for (t in ticks) {
      n = names[t]
      what = n ~ /^moontide-(engine|cpu)/ ? "engine" : n ~ /^Executor task/ ? "tasks" : \
        n ~ /^moontide-resul/ ? "storing" : n ~ /^(GC|G1|VM)/ ? "collector" : n ~ /^C[12] / ? "compiler" : \
        n ~ /^java$/ ? "start" : "others"
      sum[what] += ticks[t]
    }
    for (w in sum) printf "  %-10s %8.1f s %8.2f µs a row\n", w, sum[w] / hz, sum[w] / hz / rows * 1e6
  }' "$work/threads"
echo "finished results: $(du -sh "$work/_out.parquet.moontide/results" | cut -f 1)," \
  "$(find "$work/_out.parquet.moontide/results" -name '*.results' | wc -l) files"
echo "heap after collections, first and last:"
grep -oE '[0-9]+M->[0-9]+M\([0-9]+M\)' "$work/gc.log" | sed -n '1,3p;$p'
