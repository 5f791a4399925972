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

import com.hubspot.jinjava.interpret.InterpretException;
import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.lib.tag.Tag;
import com.hubspot.jinjava.tree.Node;
import com.hubspot.jinjava.tree.TagNode;
import com.hubspot.jinjava.util.ForLoop;
import com.hubspot.jinjava.util.LengthLimitingStringBuilder;
import com.hubspot.jinjava.util.ObjectTruthValue;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Jinja's {@code for}, with its {@code if} clause, {@code else} and the loop's neighbours;
 * jinjava's own skips a loop that has the first two.
 */
final class JinjaForTag implements Tag {
  private static final long serialVersionUID = 1L;
  private static final String LOOP = "loop";

  /** {@code for targets in items if condition}. */
  record Header(List<String> targets, String items, Optional<String> condition) {
    /** Reads what follows {@code for}; empty if there is no {@code in}. */
    static Optional<Header> parse(String helpers) {
      JinjaTokens tokens = new JinjaTokens(helpers);
      Optional<Integer> in = tokens.find("in", 0);
      if (in.isEmpty()) {
        return Optional.empty();
      }
      String targets = tokens.source(0, in.get()).replaceAll("[()\\s]", "");
      boolean recursive = tokens.text(tokens.size() - 1).equals("recursive");
      int end = recursive ? tokens.size() - 1 : tokens.size();
      // An "if" with an "else" is part of the expression.
      Optional<Integer> clause =
          tokens.find("if", in.get()).filter(i -> tokens.find("else", i).isEmpty());
      return Optional.of(
          new Header(
              List.of(targets.split(",")),
              tokens.source(in.get() + 1, clause.orElse(end)),
              clause.map(i -> tokens.source(i + 1, end))));
    }
  }

  // An instance serves one thread and one template, so this holds as many as the template has.
  private final transient Map<String, Header> headers = new LinkedHashMap<>();

  @Override
  public String getName() {
    return "for";
  }

  @Override
  public String interpret(TagNode node, JinjavaInterpreter interpreter) {
    Header header =
        headers.computeIfAbsent(
            node.getHelpers(),
            helpers ->
                Header.parse(helpers)
                    .orElseThrow(
                        () -> new InterpretException("for needs 'in'", node.getLineNumber())));
    List<@Nullable Object> items =
        items(interpreter.resolveELExpression(header.items(), node.getLineNumber()));
    if (header.condition().isPresent()) {
      items.removeIf(item -> !holds(header.condition().get(), header, item, node, interpreter));
    }
    LengthLimitingStringBuilder out =
        new LengthLimitingStringBuilder(interpreter.getConfig().getMaxOutputSize());
    interpreter.enterScope();
    try {
      Loop loop = new Loop(items);
      interpreter.getContext().put(LOOP, loop);
      if (items.isEmpty()) {
        render(node, true, null, interpreter, out);
      }
      while (loop.hasNext()) {
        ((JinjaSandbox.Interpreter) interpreter).step();
        assign(header.targets(), loop.next(), interpreter, node);
        render(node, false, loop, interpreter, out);
      }
    } finally {
      interpreter.leaveScope();
    }
    return out.toString();
  }

  private static List<@Nullable Object> items(@Nullable Object value) {
    List<@Nullable Object> items = new ArrayList<>();
    if (value instanceof Map<?, ?> map) {
      items.addAll(map.keySet());
    } else if (value instanceof Collection<?> collection) {
      items.addAll(collection);
    } else if (value instanceof Iterable<?> iterable) {
      iterable.forEach(items::add);
    } else if (value instanceof String text) {
      text.codePoints().forEach(point -> items.add(Character.toString(point)));
    } else if (value != null) {
      throw new InterpretException("a value that is no list cannot be looped over");
    }
    return items;
  }

  private static boolean holds(
      String condition,
      Header header,
      @Nullable Object item,
      TagNode node,
      JinjavaInterpreter interpreter) {
    ((JinjaSandbox.Interpreter) interpreter).step();
    interpreter.enterScope();
    try {
      assign(header.targets(), interpreter.wrap(item), interpreter, node);
      return ObjectTruthValue.evaluate(
          interpreter.resolveELExpression(condition, node.getLineNumber()));
    } finally {
      interpreter.leaveScope();
    }
  }

  private static void assign(
      List<String> targets, @Nullable Object item, JinjavaInterpreter interpreter, TagNode node) {
    Map<String, @Nullable Object> variables = interpreter.getContext();
    if (targets.size() == 1) {
      variables.put(targets.get(0), interpreter.wrap(item));
      return;
    }
    List<@Nullable Object> parts = new ArrayList<>();
    if (item instanceof Map.Entry<?, ?> entry) {
      parts.add(entry.getKey());
      parts.add(entry.getValue());
    } else if (item instanceof Collection<?> collection) {
      parts.addAll(collection);
    }
    if (parts.size() != targets.size()) {
      throw new InterpretException(
          "an item of " + parts.size() + " parts cannot be unpacked into " + targets,
          node.getLineNumber());
    }
    for (int i = 0; i < parts.size(); i++) {
      variables.put(targets.get(i), interpreter.wrap(parts.get(i)));
    }
  }

  /** Renders the children before the {@code else}, or those after it. */
  private static void render(
      TagNode node,
      boolean afterElse,
      @Nullable Loop loop,
      JinjavaInterpreter interpreter,
      LengthLimitingStringBuilder out) {
    boolean after = false;
    for (Node child : node.getChildren()) {
      if (child instanceof TagNode tag && tag.getName().equals("else")) {
        after = true;
      } else if (after == afterElse) {
        out.append(child.render(interpreter));
      }
      if (loop != null && loop.isContinued()) {
        return;
      }
    }
  }

  /** {@code loop}, of which {@code break} and {@code continue} know too. */
  static final class Loop extends ForLoop {
    private final List<@Nullable Object> items;

    Loop(List<@Nullable Object> items) {
      super(items.iterator(), items.size());
      this.items = items;
    }

    /** The loop's attribute; null if it has none of the name. */
    @Nullable Object attribute(String name) {
      return switch (name) {
        case "index" -> getIndex();
        case "index0" -> getIndex0();
        case "revindex" -> items.size() - getIndex0();
        case "revindex0" -> items.size() - getIndex();
        case "first" -> getIndex0() == 0;
        case "last" -> getIndex() == items.size();
        case "length" -> items.size();
        case "previtem" -> getIndex0() > 0 ? items.get(getIndex0() - 1) : null;
        case "nextitem" -> getIndex() < items.size() ? items.get(getIndex()) : null;
        default -> null;
      };
    }
  }
}
