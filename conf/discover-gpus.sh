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
# Prints this machine's NVIDIA GPUs as Spark's resource discovery wants them:
# {"name": "gpu", "addresses": ["0", "1"]}. CUDA numbers devices within CUDA_VISIBLE_DEVICES, and so
# does this.
set -euo pipefail
if [[ -n ${CUDA_VISIBLE_DEVICES:-} ]]; then
  count=$(tr ',' '\n' <<<"$CUDA_VISIBLE_DEVICES" | grep -c .)
else
  count=$(nvidia-smi --query-gpu=index --format=csv,noheader | grep -c .)
fi
addresses=$(seq -s '", "' 0 $((count - 1)))
echo "{\"name\": \"gpu\", \"addresses\": [\"$addresses\"]}"
