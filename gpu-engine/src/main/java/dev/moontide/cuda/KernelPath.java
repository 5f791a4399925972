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
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** The kernels a model runs on: one set serves all of it, since their bits differ. */
public enum KernelPath {
  /** Right on every shape and device; rows as they come. */
  SIMPLE,
  /**
   * The same, with products on tensor cores by {@code mma.sync}: from compute capability 8.0 on.
   */
  MMA,
  /** For compute capability 9.0: tensor cores, weights and activations as tiles. */
  HOPPER;

  /** The name of a path, to overrule the choice in a comparison. */
  static final String PROPERTY = "moontide.cuda.path";

  private static final int HOPPER_CAPABILITY = 90;
  private static final int MMA_CAPABILITY = 80;

  /**
   * A path and why it was taken.
   *
   * @param reason for people: {@code "the device and the model suit the Hopper kernels"}
   */
  public record Choice(KernelPath path, String reason) {}

  /**
   * Why kernels do not take a model; each empty if they do.
   *
   * @param mma of {@link #MMA}
   * @param hopper of {@link #HOPPER}
   */
  public record Refusals(Optional<String> mma, Optional<String> hopper) {}

  /** The path for a model on {@code device}. */
  public static Choice choose(CudaDevice device, Refusals refusals) {
    return choose(device.capability(), refusals, System.getProperty(PROPERTY));
  }

  static Choice choose(int capability, Refusals refusals, @Nullable String asked) {
    if (asked != null) {
      return asked(capability, refusals, asked);
    }
    Optional<String> notHopper = HOPPER.obstacle(capability, refusals);
    if (notHopper.isEmpty()) {
      return new Choice(HOPPER, "the device and the model suit the Hopper kernels");
    }
    String reason = "the Hopper kernels do not take this model: " + notHopper.get();
    return MMA.obstacle(capability, refusals)
        .map(why -> new Choice(SIMPLE, reason + "; nor do the mma kernels: " + why))
        .orElseGet(() -> new Choice(MMA, reason));
  }

  private static Choice asked(int capability, Refusals refusals, String name) {
    for (KernelPath path : values()) {
      if (path.toString().equals(name)) {
        path.obstacle(capability, refusals)
            .ifPresent(
                why -> {
                  throw MoontideException.configuration(
                      "%s is %s, and its kernels do not take this model: %s", PROPERTY, name, why);
                });
        return new Choice(path, PROPERTY + " asks for it");
      }
    }
    throw MoontideException.configuration(
        "%s is %s: allowed is simple, mma or hopper", PROPERTY, name);
  }

  /** Why a model does not run on this path; empty if it does. */
  private Optional<String> obstacle(int capability, Refusals refusals) {
    return switch (this) {
      case SIMPLE -> Optional.empty();
      case MMA ->
          capability >= MMA_CAPABILITY
              ? refusals.mma()
              : Optional.of(
                  "the device is sm_%d, and they are for sm_%d and later"
                      .formatted(capability, MMA_CAPABILITY));
      case HOPPER ->
          capability == HOPPER_CAPABILITY
              ? refusals.hopper()
              : Optional.of(
                  "the device is sm_%d, and they are for sm_%d"
                      .formatted(capability, HOPPER_CAPABILITY));
    };
  }

  /** As {@link #PROPERTY}, logs and images name it. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
