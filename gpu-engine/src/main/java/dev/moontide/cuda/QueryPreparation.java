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
package dev.moontide.cuda;

import java.util.OptionalInt;

/** Queries, rotated, as either form of attention takes them ({@code hopper/rows.cu}). */
final class QueryPreparation {
  private static final int THREADS = 256;

  private final Execution run;
  private final PagedStep pages;
  private final Kernel prepare;

  QueryPreparation(Execution run, Kernels kernels, PagedStep pages) {
    this.run = run;
    this.pages = pages;
    prepare = kernels.kernel("prepare_queries", THREADS);
  }

  /**
   * Rows of a step.
   *
   * @param first the step's row that is the first, if they are consecutive
   * @param numbers where among the ints the rows' numbers begin, if they are not
   * @param position where their positions begin
   */
  record Rows(int first, OptionalInt numbers, int count, int position) {}

  /** {@code images} 0: for the naive form. */
  void run(PagedAttention.Call call, Rows rows, long panel, int capacity, long images) {
    boolean isGathered = rows.numbers().isPresent();
    long first = isGathered ? 0 : rows.first();
    run.launcher
        .parameters(prepare)
        .pointer(call.q().memory().address() + first * call.q().stride() * Short.BYTES)
        .integer(call.q().stride())
        .pointer(call.rotations())
        .pointer(pages.address(rows.position()))
        .pointer(isGathered ? pages.address(rows.numbers().getAsInt()) : 0)
        .integer(call.heads())
        .pointer(panel)
        .integer(capacity)
        .pointer(images)
        .grid(rows.count(), 1, 1);
  }
}
