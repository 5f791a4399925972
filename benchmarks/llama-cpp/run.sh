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
# Measures llama.cpp on this machine's CPU, on the very model and prompts of ./moontide bench: its weights rewritten
# as GGUF (gguf.py), computed by the libraries that npm's node-llama-cpp has prebuilt, through llama.cpp's C API
# (bench.cpp). The same package holds llama.cpp's source, for the headers. Needs npm, git, g++ and Python 3.
#
# run.sh [--moontide] [KEY=VALUE]...   --moontide: ./moontide bench right after, by as many threads
#
# Keys are those of bench.cpp. MODEL_ARGUMENTS, such as "--shape hidden_size=512", are moontide's for another model;
# DTYPE=f32 has both compute in float32. BACKEND=FILE.so is another build of llama.cpp's CPU backend.
# Other work on the processors changes the figures of both by up to half: compare them on a quiet machine.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../..
version=3.22.1
dtype=${DTYPE:-bf16}
runs_moontide=false
if [[ ${1:-} == --moontide ]]; then
  runs_moontide=true
  shift
fi
threads=$(nproc)
for argument in "$@"; do
  [[ $argument != threads=* ]] || threads=${argument#*=}
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

unpack() {
  mkdir -p "$work/$2"
  (cd "$work" && tar xzf "$(npm pack --silent "$1@$version")" -C "$2" --strip-components 1)
}
unpack node-llama-cpp package
unpack @node-llama-cpp/linux-x64 binaries
git clone --quiet -c advice.detachedHead=false "$work/package/llama/gitRelease.bundle" "$work/llama.cpp"
libraries=$work/binaries/bins/linux-x64
g++ -std=c++17 -O3 -I"$work/llama.cpp/include" -I"$work/llama.cpp/ggml/include" "$here/bench.cpp" -o "$work/bench" \
  "$libraries"/libllama.v*.so "$libraries"/libggml.v*.so "$libraries/libggml-base.so" -Wl,-rpath,"$libraries"

read -ra model_arguments <<<"${MODEL_ARGUMENTS:-}"
"$root/moontide" bench "${model_arguments[@]}" --save-model "$work/model" --quiet \
  --prompts 1 --prompt-tokens 1 --new-tokens 2 --sequences 1 >/dev/null
type=()
[[ $dtype == bf16 ]] || type=("--$dtype")
python3 "$here/gguf.py" "$work/model" "$work/model.gguf" "${type[@]}"

load() {
  echo "load         $(cut -d ' ' -f 1-3 /proc/loadavg) of $(nproc) processors"
}
date -u +%Y-%m-%dT%H:%M:%SZ
lscpu | grep -E '^(Model name|CPU family|Model|L3 cache):'
echo "package      node-llama-cpp $version"
load
"$work/bench" "${BACKEND:-$libraries}" "$work/model.gguf" threads="$threads" "$@"
if [[ $runs_moontide == true ]]; then
  echo
  echo "moontide     $(git -C "$root" describe --always --dirty)"
  load
  "$root/moontide" bench --model "$work/model" --dtype "$dtype" --threads "$threads" --quiet
fi
load
