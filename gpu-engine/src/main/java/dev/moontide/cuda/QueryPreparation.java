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

  /** {@code images} 0: for the naive form. */
  void run(PagedAttention.Call call, int first, int rows, long panel, int capacity, long images) {
    run.launcher
        .parameters(prepare)
        .pointer(call.q().memory().address() + (long) first * call.q().stride() * Short.BYTES)
        .integer(call.q().stride())
        .pointer(call.rotations())
        .pointer(pages.address(call.layout().position() + first))
        .integer(call.heads())
        .pointer(panel)
        .integer(capacity)
        .pointer(images)
        .grid(rows, 1, 1);
  }
}
