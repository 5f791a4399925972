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

import java.io.Serializable;
import org.jspecify.annotations.Nullable;

/**
 * Columns that name rows and answers.
 *
 * @param prefix put before the name of every output column
 * @param idColumn column that identifies a row: the key of its random numbers; null keys them by
 *     the prompt
 * @param truthColumn column with the right label, counted into {@link JobMetrics}; null for none
 */
public record OutputOptions(String prefix, @Nullable String idColumn, @Nullable String truthColumn)
    implements Serializable {}
