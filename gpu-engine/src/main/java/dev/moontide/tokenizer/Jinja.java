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

import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.interpret.Context;
import com.hubspot.jinjava.interpret.TemplateError;
import com.hubspot.jinjava.tree.Node;
import dev.moontide.api.MoontideException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.Function;
import jinjava.de.odysseus.el.tree.TreeBuilderException;
import org.jspecify.annotations.Nullable;

/**
 * A compiled Jinja template, rendered in {@link JinjaSandbox}. Immutable and thread-safe.
 *
 * <p>jinjava's own {@code render} parses the template and copies its libraries for every row (70
 * µs). Here a parsed template keeps its own instance and interpreter, which one thread uses at a
 * time, and a row costs a scope in it and the evaluation.
 */
final class Jinja {
  /** What the template is called in errors. */
  private final String name;

  private final String source;
  private final Queue<Renderer> idle = new ConcurrentLinkedQueue<>();

  private Jinja(String name, String source) {
    this.name = name;
    this.source = source;
  }

  /**
   * Compiles {@code source}.
   *
   * @throws MoontideException of category configuration for a syntax error, with its line
   */
  static Jinja compile(String name, String source) {
    return compile(name, TemplateSource.parse(name, source));
  }

  /** Compiles a template already cut into parts. */
  static Jinja compile(String name, List<TemplateSource.Part> parts) {
    Jinja template = new Jinja(name, TemplateSource.toJinjava(parts));
    Renderer renderer = new Renderer(name, template.source);
    parts.forEach(renderer::check);
    template.idle.add(renderer);
    return template;
  }

  /**
   * Renders.
   *
   * @param variables the template's variables
   * @param others finds, or refuses by an exception, those not in {@code variables}
   */
  String render(Map<String, ?> variables, Function<String, @Nullable Object> others) {
    Renderer renderer = idle.poll();
    if (renderer == null) {
      renderer = new Renderer(name, source);
    }
    try {
      return renderer.render(variables, others);
    } finally {
      idle.add(renderer);
    }
  }

  private static final class Renderer {
    private final String name;
    private final Jinjava jinjava = JinjaSandbox.create();
    private final Context base = JinjaSandbox.context(jinjava);
    private final Node root;

    /** One whose renderings all ended as they should; null if the next is to have a new one. */
    private JinjaSandbox.@Nullable Interpreter clean;

    Renderer(String name, String source) {
      this.name = name;
      JinjaSandbox.Interpreter interpreter = interpreter(Map.of());
      root = interpreter.parse(source);
      if (!interpreter.getErrors().isEmpty()) {
        throw new MoontideException(
            MoontideException.Category.CONFIGURATION, message(interpreter.getErrors()));
      }
    }

    /** Refuses expressions that cannot be read; jinjava would find them when they are reached. */
    void check(TemplateSource.Part part) {
      for (String expression : expressions(part)) {
        JinjaSandbox.Interpreter interpreter = interpreter(Map.of());
        try {
          interpreter.resolveELExpression(new JinjaTokens(expression).forJinjava(), part.line());
        } catch (JinjaSandbox.Refusal refusal) {
          continue; // it can be read
        }
        for (TemplateError error : interpreter.getErrors()) {
          if (error.getException() != null
              && error.getException().getCause() instanceof TreeBuilderException) {
            throw MoontideException.configuration(
                "%s, line %d: %s", name, part.line(), error.getMessage());
          }
        }
      }
    }

    private List<String> expressions(TemplateSource.Part part) {
      if (part.kind() == TemplateSource.Kind.TEXT) {
        return List.of();
      }
      if (part.kind() == TemplateSource.Kind.EXPRESSION) {
        return List.of(part.content());
      }
      JinjaTokens tokens = new JinjaTokens(part.content());
      String rest = tokens.source(1, tokens.size());
      return switch (tokens.text(0)) {
        case "if", "elif" -> List.of(rest);
        case "set" ->
            tokens.find("=", 1).map(i -> tokens.source(i + 1, tokens.size())).stream().toList();
        case "for" -> {
          JinjaForTag.Header header =
              JinjaForTag.Header.parse(rest)
                  .orElseThrow(
                      () ->
                          MoontideException.configuration(
                              "%s, line %d: for needs 'in'", name, part.line()));
          List<String> both = new ArrayList<>(List.of(header.items()));
          header.condition().ifPresent(both::add);
          yield both;
        }
        default -> List.of();
      };
    }

    private JinjaSandbox.Interpreter interpreter(Map<String, ?> variables) {
      return new JinjaSandbox.Interpreter(jinjava, new Context(base, variables));
    }

    String render(Map<String, ?> variables, Function<String, @Nullable Object> others) {
      JinjaSandbox.Interpreter interpreter =
          clean == null ? new JinjaSandbox.Interpreter(jinjava, base) : clean;
      clean = null;
      String text;
      try {
        interpreter.begin(variables, variable -> value(variable, others));
        text = interpreter.render(root, false);
      } catch (JinjaSandbox.Refusal refusal) {
        throw refusal.reason();
      } catch (RuntimeException e) {
        throw new MoontideException(
            MoontideException.Category.ROW, name + ": " + e.getMessage(), e);
      } finally {
        // A context hands every name that was looked up to its parents.
        base.reset();
        jinjava.getGlobalContext().reset();
      }
      List<TemplateError> errors = interpreter.getErrors();
      if (!errors.isEmpty()) {
        for (TemplateError error : errors) {
          throwRefusal(error.getException());
        }
        throw new MoontideException(MoontideException.Category.ROW, message(errors));
      }
      if (interpreter.end()) {
        clean = interpreter;
      }
      return text;
    }

    /**
     * A variable from outside, by Python's names too. A refusal must not be noted and forgotten.
     */
    private static @Nullable Object value(
        String variable, Function<String, @Nullable Object> others) {
      try {
        return switch (variable) {
          case "True" -> true;
          case "False" -> false;
          case "None", "loop", "caller" -> null;
          default -> others.apply(variable);
        };
      } catch (MoontideException e) {
        throw new JinjaSandbox.Refusal(e);
      }
    }

    /** Within a macro even a refusal is noted as an error. */
    private static void throwRefusal(@Nullable Throwable error) {
      for (Throwable cause = error; cause != null; cause = cause.getCause()) {
        if (cause instanceof JinjaSandbox.Refusal refusal) {
          throw refusal.reason();
        }
      }
    }

    private String message(List<TemplateError> errors) {
      TemplateError first = errors.get(0);
      return name + ", line " + first.getLineno() + ": " + first.getMessage();
    }
  }
}
