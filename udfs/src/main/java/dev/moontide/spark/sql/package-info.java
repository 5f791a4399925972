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
/**
 * The SQL functions in Catalyst's terms: calls are taken out of the operators that hold them, and
 * evaluated in batches by a node of their own.
 *
 * <p>The life of a call: {@code AiFunctions} builds an {@code AiCall}, {@code CheckCalls} refuses
 * it where it cannot work, {@code ExtractCalls} puts an {@code InferencePlan} below its operator,
 * {@code ShareAnswers} makes one of what stands in the query twice, {@code PushThroughInference}
 * moves what needs no answer below that, {@code InferenceStrategy} plans an {@code InferenceExec},
 * and {@code MaterializeOnce} sees that it runs once.
 *
 * <p>{@code Transforms} makes a node of {@code Moontide.transform} too, for any session.
 */
@NullMarked
package dev.moontide.spark.sql;

import org.jspecify.annotations.NullMarked;
