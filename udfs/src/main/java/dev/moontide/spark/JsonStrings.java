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

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.Arrays;
import java.util.List;

/** Lists of strings as the text of one option: a JSON array, or separated by commas. */
public final class JsonStrings {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final TypeReference<List<String>> STRINGS = new TypeReference<>() {};

  private JsonStrings() {}

  /** A JSON array. */
  public static String of(List<?> texts) {
    try {
      return JSON.writeValueAsString(texts);
    } catch (JsonProcessingException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  /** Whether {@code text} is meant to be a JSON array. */
  static boolean isArray(String text) {
    return text.stripLeading().startsWith("[");
  }

  /**
   * The strings of a JSON array.
   *
   * @throws IllegalArgumentException if it is none, or has a null
   */
  static List<String> parse(String array) {
    try {
      List<String> read = JSON.readValue(array, STRINGS);
      if (read.contains(null)) {
        throw new IllegalArgumentException("a JSON array of strings without null");
      }
      return read;
    } catch (JsonProcessingException malformed) {
      throw new IllegalArgumentException("a JSON array of strings, as it begins with [", malformed);
    }
  }

  /**
   * The strings of a JSON array, or what stands between commas.
   *
   * @throws IllegalArgumentException if it begins as an array and is none, or has a null; its
   *     message says what is allowed
   */
  public static List<String> parseOrSplit(String text) {
    return isArray(text)
        ? parse(text)
        : Arrays.stream(text.split(",", -1)).map(String::strip).toList();
  }
}
