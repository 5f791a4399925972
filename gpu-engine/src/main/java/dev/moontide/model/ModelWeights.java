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
package dev.moontide.model;

import dev.moontide.api.MoontideException;
import dev.moontide.checkpoint.Checkpoint;
import dev.moontide.tensor.Storage;
import dev.moontide.tensor.Weight;
import java.util.List;

/**
 * A model's weights on a device, owned by the {@link Storage} that loaded them.
 *
 * @param embedding [vocab_size, hidden_size], a table
 * @param layers in order
 * @param norm the last norm's gain [hidden_size]
 * @param lmHead the output projection [vocab_size, hidden_size]
 */
public record ModelWeights(
    Weight embedding, List<LayerWeights> layers, Weight norm, Weight lmHead) {
  public ModelWeights {
    layers = List.copyOf(layers);
  }

  /**
   * Checks the checkpoint against the config and, if nothing is wrong, converts every tensor, many
   * at once. On any failure the conversions not begun are dropped and {@code storage} is closed, so
   * nothing stays loaded.
   *
   * @param threads conversions at a time, at least 1
   * @throws MoontideException that lists everything wrong with the checkpoint, or is the first
   *     failure of a conversion
   */
  public static LoadedWeights load(
      Checkpoint checkpoint, ModelConfig config, Storage storage, int threads) {
    return new WeightLoader(checkpoint, config, storage, threads).load();
  }
}
