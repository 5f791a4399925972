package dev.moontide.model;

import dev.moontide.tensor.Weight;

/**
 * A SwiGLU feed-forward: {@code down(silu(gate(x)) · up(x))}.
 *
 * @param gateUp {@code gate_proj} above {@code up_proj}, [2·intermediate, hidden]
 * @param down {@code down_proj} [hidden, intermediate]
 */
public record Mlp(Weight gateUp, Weight down) {}
