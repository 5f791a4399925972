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

import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.lib.filter.AdvancedFilter;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import jinjava.javax.el.ELException;
import org.jspecify.annotations.Nullable;

/** Filters that jinjava has not, or has with another meaning than Jinja. */
final class JinjaFilter implements AdvancedFilter {
  /** A filter of a value and its positional and named arguments. */
  private interface Body {
    @Nullable Object apply(
        @Nullable Object value, List<@Nullable Object> arguments, Map<String, Object> named);
  }

  private final String name;
  private final Body body;

  private JinjaFilter(String name, Body body) {
    this.name = name;
    this.body = body;
  }

  static List<JinjaFilter> all() {
    return List.of(
        new JinjaFilter("tojson", JinjaFilter::toJson),
        new JinjaFilter(
            "trim",
            (value, arguments, named) ->
                PythonStrings.strip(
                    text(value), arguments.isEmpty() ? null : text(arguments.get(0)), true, true)),
        new JinjaFilter(
            "items",
            (value, arguments, named) ->
                value instanceof Map<?, ?> map ? map.entrySet() : List.of()),
        new JinjaFilter("first", (value, arguments, named) -> item(value, 0)),
        new JinjaFilter("last", (value, arguments, named) -> item(value, -1)),
        new JinjaFilter("reverse", (value, arguments, named) -> slice(value, null, null, -1L)),
        new JinjaFilter(
            "slice_of",
            (value, arguments, named) ->
                slice(
                    value,
                    bound(arguments, 0),
                    bound(arguments, 1),
                    Objects.requireNonNullElse(bound(arguments, 2), 1L))));
  }

  @Override
  public String getName() {
    return name;
  }

  @Override
  public @Nullable Object filter(
      @Nullable Object value,
      JinjavaInterpreter interpreter,
      @Nullable Object[] arguments,
      Map<String, Object> named) {
    List<@Nullable Object> list = new ArrayList<>(arguments.length);
    Collections.addAll(list, arguments);
    return body.apply(value, list, named);
  }

  private static String text(@Nullable Object value) {
    return Objects.toString(value, "");
  }

  private static String toJson(
      @Nullable Object value, List<@Nullable Object> arguments, Map<String, Object> named) {
    Object indent = arguments.isEmpty() ? named.get("indent") : arguments.get(0);
    int spaces = indent instanceof Number number ? number.intValue() : 0;
    if (spaces < 0 || spaces > 16) {
      throw new ELException("tojson: indent should be 0 to 16, found " + spaces);
    }
    if (named.get("separators") instanceof Collection<?> separators && separators.size() == 2) {
      Object[] both = separators.toArray();
      return PythonJson.write(value, text(both[0]), text(both[1]), spaces);
    }
    return PythonJson.write(value, ", ", ": ", spaces);
  }

  private static @Nullable Object item(@Nullable Object value, long index) {
    Object one = slice(value, index, index == -1 ? null : index + 1, 1L);
    if (one instanceof List<?> list) {
      return list.isEmpty() ? null : list.get(0);
    }
    return one;
  }

  private static @Nullable Long bound(List<@Nullable Object> arguments, int index) {
    Object bound = index < arguments.size() ? arguments.get(index) : null;
    if (bound == null || bound instanceof Number) {
      return bound == null ? null : ((Number) bound).longValue();
    }
    throw new ELException("a slice's bound should be a number, found '" + bound + "'");
  }

  /** {@code value[start:end:step]} as Python's, of a text or a list. */
  private static @Nullable Object slice(
      @Nullable Object value, @Nullable Long start, @Nullable Long end, long step) {
    if (value == null) {
      return null;
    }
    if (step == 0) {
      throw new ELException("a slice's step should not be 0");
    }
    if (value instanceof String text) {
      int[] points = text.codePoints().toArray();
      StringBuilder out = new StringBuilder();
      indices(points.length, start, end, step).forEach(i -> out.appendCodePoint(points[i]));
      return out.toString();
    }
    if (!(value instanceof Collection<?> collection)) {
      throw new ELException("only a text or a list can be sliced");
    }
    List<@Nullable Object> items = new ArrayList<>(collection);
    List<@Nullable Object> out = new ArrayList<>();
    indices(items.size(), start, end, step).forEach(i -> out.add(items.get(i)));
    return out;
  }

  private static List<Integer> indices(
      int length, @Nullable Long start, @Nullable Long end, long step) {
    long lowest = step > 0 ? 0 : -1;
    long highest = step > 0 ? length : length - 1;
    long from =
        start == null ? (step > 0 ? lowest : highest) : clamp(start, length, lowest, highest);
    long to = end == null ? (step > 0 ? highest : lowest) : clamp(end, length, lowest, highest);
    List<Integer> indices = new ArrayList<>();
    for (long i = from; step > 0 ? i < to : i > to; i += step) {
      indices.add((int) i);
    }
    return indices;
  }

  private static long clamp(long bound, int length, long lowest, long highest) {
    long index = bound < 0 ? bound + length : bound;
    return Math.max(lowest, Math.min(highest, index));
  }
}
