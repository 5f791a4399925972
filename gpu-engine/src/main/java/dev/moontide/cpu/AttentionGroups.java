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
package dev.moontide.cpu;

import dev.moontide.tensor.Step;

/**
 * The tokens of a range of a step in groups that read the cache together: neighbours of one
 * sequence, as many as fill the rows of a product. Where there are fewer groups than threads,
 * tokens stand alone and their heads are shared out.
 */
final class AttentionGroups {
  private int[] firsts = new int[0];
  private int count;
  private int end;
  private int headsPerGroup;
  private int headGroups;

  /** Groups tokens {@code [first, last)}. */
  void form(Step step, int first, int last, int heads, int threads) {
    int most = Math.max(1, MatmulKernel.MAX_ROWS / heads);
    int fair = Math.max(1, (last - first) / (2 * threads));
    int limit = Math.min(most, fair);
    if (firsts.length < last - first) {
      firsts = new int[last - first];
    }
    count = 0;
    end = last;
    for (int t = first; t < last; t++) {
      boolean joins =
          count > 0
              && t - firsts[count - 1] < limit
              && step.sequence(t) == step.sequence(firsts[count - 1]);
      if (!joins) {
        firsts[count++] = t;
      }
    }
    headGroups = (heads + MatmulKernel.MAX_ROWS - 1) / MatmulKernel.MAX_ROWS;
    if (limit == 1 && count < threads) {
      headGroups = Math.max(headGroups, Math.min(threads / count, Math.max(1, heads / 4)));
    }
    headsPerGroup = (heads + headGroups - 1) / headGroups;
    headGroups = (heads + headsPerGroup - 1) / headsPerGroup;
  }

  /** Groups of tokens times groups of heads. */
  int tasks() {
    return count * headGroups;
  }

  /** First token of a task; the last tasks come first, which in a prefill see the most. */
  int first(int task) {
    return firsts[group(task)];
  }

  /** How many tokens a task has. */
  int tokens(int task) {
    int group = group(task);
    return (group + 1 < count ? firsts[group + 1] : end) - firsts[group];
  }

  private int group(int task) {
    return count - 1 - task / headGroups;
  }

  /** First head of a task. */
  int firstHead(int task) {
    return task % headGroups * headsPerGroup;
  }

  /** How many heads a task has, of {@code heads}. */
  int heads(int task, int heads) {
    return Math.min(headsPerGroup, heads - firstHead(task));
  }
}
