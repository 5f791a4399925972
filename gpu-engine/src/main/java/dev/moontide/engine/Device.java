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
package dev.moontide.engine;

import dev.moontide.tensor.DType;
import java.util.function.LongSupplier;

/**
 * What an engine runs on, for reports.
 *
 * @param description backend and device
 * @param dtype the type it computes in
 * @param threads that compute
 * @param matmulNanos time spent inside matrix products since the start, over all threads
 */
record Device(String description, DType dtype, int threads, LongSupplier matmulNanos) {}
