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

import dev.moontide.api.MoontideException;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** The kernels a model runs on: one set serves all of it, since their bits differ. */
public enum KernelPath {
  /** Right on every shape and device; rows as they come. */
  SIMPLE,
  /** For compute capability 9.0: tensor cores, weights and activations as tiles. */
  HOPPER;

  /** {@code simple} or {@code hopper}, to overrule the choice in a comparison. */
  static final String PROPERTY = "moontide.cuda.path";

  private static final int HOPPER_CAPABILITY = 90;

  /**
   * A path and why it was taken.
   *
   * @param reason for people: {@code "the device and the model suit the Hopper kernels"}
   */
  public record Choice(KernelPath path, String reason) {}

  /**
   * The path for a model on {@code device}.
   *
   * @param refusal why the Hopper kernels do not take the model; empty if they do
   */
  public static Choice choose(CudaDevice device, Optional<String> refusal) {
    return choose(device.capability(), refusal, System.getProperty(PROPERTY));
  }

  static Choice choose(int capability, Optional<String> refusal, @Nullable String asked) {
    Optional<String> obstacle =
        capability == HOPPER_CAPABILITY
            ? refusal
            : Optional.of(
                "the device is sm_%d, and they are for sm_%d"
                    .formatted(capability, HOPPER_CAPABILITY));
    if (asked == null) {
      return obstacle
          .map(why -> new Choice(SIMPLE, "the Hopper kernels do not take this model: " + why))
          .orElseGet(() -> new Choice(HOPPER, "the device and the model suit the Hopper kernels"));
    }
    String reason = PROPERTY + " asks for it";
    return switch (asked) {
      case "simple" -> new Choice(SIMPLE, reason);
      case "hopper" -> {
        if (obstacle.isPresent()) {
          throw MoontideException.configuration(
              "%s is hopper, and the Hopper kernels do not take this model: %s",
              PROPERTY, obstacle.get());
        }
        yield new Choice(HOPPER, reason);
      }
      default ->
          throw MoontideException.configuration(
              "%s is %s: allowed is simple or hopper", PROPERTY, asked);
    };
  }
}
