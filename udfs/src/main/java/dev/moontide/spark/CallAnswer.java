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

import dev.moontide.api.ChoiceSet;
import org.apache.spark.sql.catalyst.InternalRow;
import org.jspecify.annotations.Nullable;

/** The answer to a question, which every call and row with that question shares. */
final class CallAnswer {
  /** Of a call that is not evaluated, or has a null argument. */
  static final CallAnswer NONE = new CallAnswer();

  static {
    NONE.done = true;
  }

  private boolean done;
  private @Nullable InternalRow columns;
  private @Nullable ChoiceSet choices;

  boolean isDone() {
    return done;
  }

  /** The task's columns; null where nothing was asked. */
  @Nullable InternalRow columns() {
    return columns;
  }

  /** What the request was to choose from, if it was. */
  @Nullable ChoiceSet choices() {
    return choices;
  }

  void chooseFrom(ChoiceSet set) {
    choices = set;
  }

  void done(InternalRow answered) {
    columns = answered;
    done = true;
    choices = null;
  }
}
