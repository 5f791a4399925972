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
package dev.moontide.api;

import java.util.Locale;

/** Why a generation ended. */
public enum FinishReason {
  /** The model ended its turn, or a stop string or stop token appeared. */
  STOP,
  /** {@link SamplingParameters#maxTokens()} or the model's context was reached. */
  LENGTH,
  /** The row could not be computed; its error says why. */
  ERROR;

  /** The name used in output columns: {@code stop}, {@code length} or {@code error}. */
  public String columnValue() {
    return name().toLowerCase(Locale.ROOT);
  }
}
