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

import dev.moontide.tensor.Attention;
import dev.moontide.tensor.DType;
import dev.moontide.tensor.Step;

/**
 * Attends to the latent cache: tokens in {@link AttentionGroups groups}, each group's {@link
 * AttentionTask task} on some thread.
 */
@SuppressWarnings("NullAway.Init") // The fields below are one call's arguments.
final class LatentCore implements Workers.Body, AutoCloseable {
  private final Workers workers;
  private final AttentionTask[] tasks;
  private final AttentionGroups groups = new AttentionGroups();

  private LatentCache cache;
  private int layer;
  private Attention attention;
  private Step step;
  private int rangeStart;

  /** Tasks read {@code queries} and write {@code sums}, both by the range's token, then head. */
  LatentCore(Workers workers, Lane[] lanes, DType type, Tile queries, Tile sums) {
    this.workers = workers;
    tasks = new AttentionTask[lanes.length];
    for (int i = 0; i < lanes.length; i++) {
      tasks[i] = new AttentionTask(lanes[i], type, queries, sums);
    }
  }

  /** Attends for the range of {@code tokens} tokens from {@code first}. */
  void run(LatentCache latents, int layerIndex, Attention shape, Step s, int first, int tokens) {
    cache = latents;
    layer = layerIndex;
    attention = shape;
    step = s;
    rangeStart = first;
    groups.form(s, first, first + tokens, shape.heads(), workers.count());
    workers.run(groups.tasks(), this);
  }

  @Override
  public void run(int task, int worker) {
    AttentionTask runner = tasks[worker];
    runner.over(cache, layer, attention, step);
    runner.run(
        rangeStart,
        groups.first(task),
        groups.tokens(task),
        groups.firstHead(task),
        groups.heads(task, attention.heads()));
  }

  @Override
  public void close() {
    for (AttentionTask task : tasks) {
      task.close();
    }
  }
}
