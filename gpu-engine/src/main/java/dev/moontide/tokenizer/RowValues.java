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
package dev.moontide.tokenizer;

import dev.moontide.api.MoontideException;
import java.lang.reflect.Array;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** A row's values as those a template knows: texts, numbers, booleans, lists and maps of them. */
final class RowValues {
  private RowValues() {}

  static @Nullable Object of(String column, @Nullable Object value) {
    if (value == null
        || value instanceof String
        || value instanceof Boolean
        || value instanceof Number) {
      return value;
    }
    if (value instanceof byte[]) {
      throw MoontideException.row(
          "column %s is binary; give its text instead, for instance decode(%s, 'UTF-8')",
          column, column);
    }
    if (value instanceof Map<?, ?> map) {
      Map<String, @Nullable Object> values = new LinkedHashMap<>();
      map.forEach((key, item) -> values.put(String.valueOf(key), of(column, item)));
      return values;
    }
    List<@Nullable Object> values = new ArrayList<>();
    if (value instanceof Iterable<?> items) {
      items.forEach(item -> values.add(of(column, item)));
      return values;
    }
    if (value.getClass().isArray()) {
      for (int i = 0; i < Array.getLength(value); i++) {
        values.add(of(column, Array.get(value, i)));
      }
      return values;
    }
    return value.toString(); // dates, times, and whatever else has a text
  }
}
