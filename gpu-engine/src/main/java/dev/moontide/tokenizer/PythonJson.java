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

import com.fasterxml.jackson.core.io.JsonStringEncoder;
import java.math.BigDecimal;
import java.util.Iterator;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Values as text: JSON as Python's {@code json.dumps} spells it, and plain numbers. */
final class PythonJson {
  private final String itemSeparator;
  private final String keySeparator;
  private final int indent; // 0: all on one line
  private final StringBuilder out = new StringBuilder();

  private PythonJson(String itemSeparator, String keySeparator, int indent) {
    this.itemSeparator = itemSeparator;
    this.keySeparator = keySeparator;
    this.indent = indent;
  }

  /** {@code value} as JSON on one line: {@code {"a": [1, 2]}}. */
  static String write(@Nullable Object value) {
    return write(value, ", ", ": ", 0);
  }

  /** {@code value} as JSON; with an indent each item has a line of its own. */
  static String write(
      @Nullable Object value, String itemSeparator, String keySeparator, int indent) {
    PythonJson json = new PythonJson(itemSeparator, keySeparator, indent);
    json.append(value, 1);
    return json.out.toString();
  }

  /** A number without an exponent, as in a text for people. */
  static String plain(Number number) {
    if (number instanceof Double || number instanceof Float) {
      String text = number.toString();
      return text.indexOf('E') < 0 ? text : new BigDecimal(text).toPlainString();
    }
    return number instanceof BigDecimal decimal ? decimal.toPlainString() : number.toString();
  }

  private void append(@Nullable Object value, int depth) {
    if (value == null || value instanceof Boolean) {
      out.append(value);
    } else if (value instanceof Number number) {
      out.append(plain(number));
    } else if (value instanceof Map<?, ?> map) {
      out.append('{');
      Iterator<? extends Map.Entry<?, ?>> entries = map.entrySet().iterator();
      while (entries.hasNext()) {
        Map.Entry<?, ?> entry = entries.next();
        newLine(depth);
        string(String.valueOf(entry.getKey()));
        out.append(keySeparator);
        append(entry.getValue(), depth + 1);
        separate(entries.hasNext(), depth);
      }
      out.append('}');
    } else if (value instanceof Iterable<?> iterable) {
      out.append('[');
      Iterator<?> items = iterable.iterator();
      while (items.hasNext()) {
        newLine(depth);
        append(items.next(), depth + 1);
        separate(items.hasNext(), depth);
      }
      out.append(']');
    } else {
      string(value.toString());
    }
  }

  private void separate(boolean more, int depth) {
    if (more) {
      out.append(indent > 0 ? itemSeparator.stripTrailing() : itemSeparator);
    } else {
      newLine(depth - 1);
    }
  }

  private void newLine(int depth) {
    if (indent > 0) {
      out.append('\n').append(" ".repeat(indent * depth));
    }
  }

  private void string(String text) {
    out.append('"');
    JsonStringEncoder.getInstance().quoteAsString(text, out);
    out.append('"');
  }
}
