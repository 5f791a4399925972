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
package dev.moontide.spark;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.MoontideException;
import dev.moontide.api.MoontideException.Category;
import org.junit.jupiter.api.Test;

/** Which failures of a task end its executor. */
class LostDeviceTest {
  private static MoontideException lost() {
    return new MoontideException(Category.DEVICE, "illegal address");
  }

  @Test
  void aLostDeviceEndsAnExecutorAndNeverTheDriver() {
    assertTrue(LostDevice.endsExecutor(lost(), "3"));
    assertTrue(LostDevice.endsExecutor(new IllegalStateException(lost()), "3"), "as a cause");
    assertFalse(LostDevice.endsExecutor(lost(), "driver"), "local mode");
  }

  @Test
  void otherFailuresAreTheTasks() {
    for (Category category : Category.values()) {
      boolean isLost = category == Category.DEVICE;
      assertTrue(
          isLost == LostDevice.endsExecutor(new MoontideException(category, "no"), "3"),
          category.toString());
    }
    assertFalse(LostDevice.endsExecutor(new OutOfMemoryError(), "3"));
  }
}
