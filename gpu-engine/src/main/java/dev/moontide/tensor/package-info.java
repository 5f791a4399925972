/**
 * The small interface between the model's equations and a device: tensors, weights, a step's layout
 * and the operations over them.
 */
@NullMarked
package dev.moontide.tensor;

import org.jspecify.annotations.NullMarked;
