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

import com.hubspot.jinjava.el.TypeConvertingMapELResolver;
import com.hubspot.jinjava.el.ext.JinjavaBeanELResolver;
import com.hubspot.jinjava.el.ext.JinjavaListELResolver;
import com.hubspot.jinjava.lib.exptest.ExpTest;
import com.hubspot.jinjava.lib.filter.Filter;
import com.hubspot.jinjava.lib.fn.MacroFunction;
import com.hubspot.jinjava.objects.PyWrapper;
import java.beans.FeatureDescriptor;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import jinjava.javax.el.ELContext;
import jinjava.javax.el.ELException;
import jinjava.javax.el.ELResolver;
import org.jspecify.annotations.Nullable;

/**
 * What a template may reach from a value: entries of maps and lists and their Python methods,
 * characters and methods of strings, {@code loop}'s counters, filters and tests. No Java method of
 * any other object can be called, so an untrusted template gets hold of nothing else.
 */
final class JinjaAccess extends ELResolver {
  private final ELResolver maps = new TypeConvertingMapELResolver(true);
  private final ELResolver lists = new JinjavaListELResolver(true);
  private final ELResolver beans = new JinjavaBeanELResolver(true);

  @Override
  public @Nullable Object getValue(ELContext context, Object base, Object property) {
    context.setPropertyResolved(true);
    if (base instanceof Map) {
      return maps.getValue(context, base, property);
    }
    if (base instanceof List) {
      return lists.getValue(context, base, property);
    }
    if (base instanceof JinjaForTag.Loop loop) {
      return loop.attribute(property.toString());
    }
    // An unknown property is undefined, as in Jinja.
    return base instanceof String text ? PythonStrings.characterAt(text, property) : null;
  }

  @Override
  public @Nullable Object invoke(
      ELContext context,
      @Nullable Object base,
      Object method,
      Class<?> @Nullable [] types,
      Object @Nullable [] arguments) {
    if (base instanceof String text) {
      context.setPropertyResolved(true);
      return PythonStrings.call(
          text, method.toString(), arguments == null ? new Object[0] : arguments);
    }
    if (base instanceof JinjaForTag.Loop loop && method.equals("cycle") && arguments != null) {
      context.setPropertyResolved(true);
      return loop.cycle(arguments);
    }
    if (base instanceof Filter
        || base instanceof ExpTest
        || base instanceof PyWrapper
        || base instanceof MacroFunction) {
      return beans.invoke(context, base, method, types, arguments);
    }
    throw new ELException(
        String.format("%s has no method %s", base == null ? "undefined" : "this value", method));
  }

  @Override
  public @Nullable Class<?> getType(ELContext context, Object base, Object property) {
    return null;
  }

  @Override
  public void setValue(ELContext context, Object base, Object property, Object value) {
    throw new ELException("values cannot be changed");
  }

  @Override
  public boolean isReadOnly(ELContext context, Object base, Object property) {
    return true;
  }

  @Override
  public Iterator<FeatureDescriptor> getFeatureDescriptors(ELContext context, Object base) {
    return Collections.emptyIterator();
  }

  @Override
  public Class<?> getCommonPropertyType(ELContext context, Object base) {
    return Object.class;
  }
}
