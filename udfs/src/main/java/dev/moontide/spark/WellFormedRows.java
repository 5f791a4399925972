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

import dev.moontide.api.GenerationRequest;
import dev.moontide.api.MoontideException;
import org.apache.spark.sql.catalyst.InternalRow;

/**
 * Fails rows that stand for a malformed input line, of which nothing is known but its text.
 *
 * @param malformed column of the line's text, null in the other rows
 * @param prompter makes the requests of these
 */
record WellFormedRows(Column malformed, Inference.Prompter prompter) implements Inference.Prompter {
  private static final int SHOWN_OF_LINE = 120;

  @Override
  public GenerationRequest request(long id, InternalRow row) {
    if (!row.isNullAt(malformed.ordinal())) {
      throw MoontideException.row(
          "the input line is malformed: \"%s\"",
          row.getUTF8String(malformed.ordinal()).substring(0, SHOWN_OF_LINE));
    }
    return prompter.request(id, row);
  }
}
