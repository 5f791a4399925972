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
package dev.moontide.job;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Supplier;

/** Wall time by phase, in the order the phases ran. */
final class Phases {
  private final Map<String, Double> seconds = new LinkedHashMap<>();

  /** Runs {@code work} as the phase {@code name}. */
  <T> T time(String name, Supplier<T> work) {
    long start = System.nanoTime();
    try {
      return work.get();
    } finally {
      add(name, start);
    }
  }

  /** Runs {@code work} as the phase {@code name}. */
  void time(String name, Runnable work) {
    long start = System.nanoTime();
    try {
      work.run();
    } finally {
      add(name, start);
    }
  }

  private void add(String name, long start) {
    seconds.merge(name, (System.nanoTime() - start) / 1e9, Double::sum);
  }

  /** Seconds by phase. */
  Map<String, Double> seconds() {
    return Collections.unmodifiableMap(seconds);
  }
}
