/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
 * in compliance with the License. You may obtain a copy of the License at
 *
 *     http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software distributed under the License
 * is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
 * or implied. See the License for the specific language governing permissions and limitations under
 * the License.
 */
// A step's layout on the device (dev.moontide.tensor.Step): a header of ints, then its arrays, each
// found by its offset in ints from the header's start. StepBuffer writes it.
#pragma once

#include "device.cuh"

struct StepLayout {
  const int* base;

  DEVICE int tokens() const { return base[0]; }
  DEVICE int logit_rows() const { return base[1]; }
  DEVICE int token_id(int t) const { return base[base[2] + t]; }
  DEVICE int position(int t) const { return base[base[3] + t]; }
  DEVICE int cache_index(int t) const { return base[base[4] + t]; }
  DEVICE int prefix_length(int t) const { return base[base[5] + t]; }
  DEVICE int ancestor_start(int t) const { return base[base[6] + t]; }
  DEVICE const int* ancestors_of(int t) const { return base + base[7] + ancestor_start(t); }
  DEVICE int ancestor(int i) const { return base[base[7] + i]; }
  // The block table of the sequence token t belongs to.
  DEVICE const int* block_table(int t) const { return base + base[base[8] + t]; }
  DEVICE int logit_token(int row) const { return base[base[9] + row]; }

  // Cache entries token t sees.
  DEVICE int visible(int t) const {
    return prefix_length(t) + ancestor_start(t + 1) - ancestor_start(t);
  }
};
