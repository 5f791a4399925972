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

import dev.moontide.api.TokenIds;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A Jinja template over a row's columns, such as {@code Classify: {{ text }}}. Immutable and
 * thread-safe. A variable that is not a column is an error, as is a null value.
 */
public final class PromptTemplate {
  PromptTemplate() {}

  /** Compiles {@code source}; a syntax error names the place. */
  public static PromptTemplate compile(String source) {
    throw new IllegalStateException("skeleton");
  }

  /** Columns the template refers to. */
  public Set<String> columns() {
    throw new IllegalStateException("skeleton");
  }

  /** The prompt as text (the content of a chat message: all of it ordinary text). */
  public String render(Map<String, ? extends @Nullable Object> row) {
    throw new IllegalStateException("skeleton");
  }

  /**
   * The prompt as tokens of a plain completion: special tokens written in the template are control
   * tokens, the row's values are ordinary text.
   */
  public TokenIds encode(Map<String, ? extends @Nullable Object> row, Tokenizer tokenizer) {
    throw new IllegalStateException("skeleton");
  }
}
