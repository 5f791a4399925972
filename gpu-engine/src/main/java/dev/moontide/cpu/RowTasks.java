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

/**
 * Work on independent rows, shared among threads in contiguous ranges where there is enough of it.
 * Subclasses hold the arguments of one call in fields, so a call allocates nothing.
 */
abstract class RowTasks implements Workers.Body {
  /** Numbers touched, below which (about 10 µs) sharing costs more than it saves. */
  private static final long SHARED_ELEMENTS = 1 << 15;

  private static final int TASKS_PER_THREAD = 4;

  private final Workers workers;
  private int rows;
  private int tasks;

  RowTasks(Workers workers) {
    this.workers = workers;
  }

  /** Runs {@link #rows} over {@code n} rows of about {@code elements} numbers each. */
  final void runRows(int n, long elements) {
    rows = n;
    tasks =
        n * elements < SHARED_ELEMENTS
            ? Math.min(n, 1)
            : Math.min(n, workers.count() * TASKS_PER_THREAD);
    workers.run(tasks, this);
  }

  @Override
  public final void run(int task, int worker) {
    rows((int) ((long) task * rows / tasks), (int) ((task + 1L) * rows / tasks), worker);
  }

  /** Computes rows {@code [first, end)}. */
  abstract void rows(int first, int end, int worker);
}
