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

import dev.moontide.api.TokenIds;
import dev.moontide.model.LanguageModel;
import java.util.function.ObjIntConsumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A model ready to serve, with what the engine needs of its checkpoint.
 *
 * @param model the model, closed with the engine
 * @param decoders makes a decoder for each output, which appends the text that a token completes;
 *     null without a tokenizer
 * @param stopTokenIds token ids that end an output
 * @param device what it runs on
 * @param loadSeconds time to load it
 * @param loadedBytes bytes read
 */
record LoadedModel(
    LanguageModel model,
    @Nullable Supplier<ObjIntConsumer<StringBuilder>> decoders,
    TokenIds stopTokenIds,
    Device device,
    double loadSeconds,
    long loadedBytes) {}
