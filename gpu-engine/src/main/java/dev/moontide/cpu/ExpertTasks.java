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

import java.util.Arrays;

/**
 * The (token, expert) pairs of a range of tokens grouped by expert, and cut into tasks of at most
 * {@link MatmulKernel#MAX_ROWS} pairs of one expert, the largest tasks first. A pair, or
 * <i>slot</i>, is numbered {@code (token - firstToken) · topK + k}.
 */
final class ExpertTasks {
  private static final int MAX_ROWS = MatmulKernel.MAX_ROWS;

  private int[] slots = new int[0];
  private int[] starts = new int[0];
  private int[] taskExpert = new int[0];
  private int[] taskFirst = new int[0];
  private int[] taskRows = new int[0];
  private final int[] place = new int[MAX_ROWS + 1];
  private int[] taskPlace = new int[0];
  private int[] places = new int[0];
  private int tasks;
  private int placeCount;

  /** Groups {@code tokens} tokens from {@code firstToken} on. */
  void group(TokenRouting routing, int experts, int firstToken, int tokens) {
    int topK = routing.topK();
    int pairs = tokens * topK;
    int from = firstToken * topK;
    reserve(experts, pairs);
    Arrays.fill(starts, 0, experts + 1, 0);
    for (int i = 0; i < pairs; i++) {
      starts[routing.experts[from + i] + 1]++;
    }
    for (int e = 0; e < experts; e++) {
      starts[e + 1] += starts[e];
    }
    for (int i = 0; i < pairs; i++) {
      slots[starts[routing.experts[from + i]]++] = i;
    }
    // Each start has moved to its expert's end, which is the next one's start.
    cut(experts);
  }

  private void reserve(int experts, int pairs) {
    if (slots.length < pairs) {
      slots = new int[pairs];
      places = new int[pairs];
    }
    if (starts.length < experts + 1) {
      starts = new int[experts + 1];
    }
    int most = experts + pairs / MAX_ROWS;
    if (taskExpert.length < most) {
      taskExpert = new int[most];
      taskFirst = new int[most];
      taskRows = new int[most];
      taskPlace = new int[most];
    }
  }

  private void cut(int experts) {
    Arrays.fill(place, 0);
    for (int e = 0; e < experts; e++) {
      int count = count(e);
      place[MAX_ROWS] += count / MAX_ROWS;
      if (count % MAX_ROWS > 0) {
        place[count % MAX_ROWS]++;
      }
    }
    tasks = 0;
    for (int rows = MAX_ROWS; rows > 0; rows--) {
      int ofThisSize = place[rows];
      place[rows] = tasks;
      tasks += ofThisSize;
    }
    for (int e = 0; e < experts; e++) {
      int end = starts[e];
      for (int first = end - count(e); first < end; first += MAX_ROWS) {
        int rows = Math.min(MAX_ROWS, end - first);
        int task = place[rows]++;
        taskExpert[task] = e;
        taskFirst[task] = first;
        taskRows[task] = rows;
      }
    }
    assignPlaces();
  }

  /** A task's results lie together, with room for a padded call's. */
  private void assignPlaces() {
    placeCount = 0;
    for (int task = 0; task < tasks; task++) {
      taskPlace[task] = placeCount;
      for (int r = 0; r < taskRows[task]; r++) {
        places[slot(task, r)] = placeCount + r;
      }
      placeCount += Lane.paddedRows(taskRows[task]);
    }
  }

  private int count(int expert) {
    return starts[expert] - (expert == 0 ? 0 : starts[expert - 1]);
  }

  /** How many tasks there are. */
  int count() {
    return tasks;
  }

  int expert(int task) {
    return taskExpert[task];
  }

  int rows(int task) {
    return taskRows[task];
  }

  /** Slot of the task's row {@code row}. */
  int slot(int task, int row) {
    return slots[taskFirst[task] + row];
  }

  /** Place of the task's first result; those of its other rows follow. */
  int firstPlace(int task) {
    return taskPlace[task];
  }

  /** Place of a slot's result. */
  int place(int slot) {
    return places[slot];
  }

  /** How many places there are. */
  int places() {
    return placeCount;
  }
}
