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

import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** What of the device is open: everything that must be closed, by its owner alone. */
final class Open {
  private static final Map<Object, String> OPEN = new ConcurrentHashMap<>();

  private Open() {}

  /** Notes that {@code owned} is open. */
  static void add(Object owned, String description) {
    OPEN.put(owned, description);
  }

  /** Notes that {@code owned} is closed; false if it was already. */
  static boolean remove(Object owned) {
    return OPEN.remove(owned) != null;
  }

  /** Descriptions of what is open. */
  static List<String> descriptions() {
    return OPEN.values().stream().sorted().toList();
  }
}
