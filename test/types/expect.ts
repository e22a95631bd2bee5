// Owns what type tests share: exact comparison of types. `@ts-expect-error` marks what must not
// compile; the compiler complains where such a line does.

type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles if the value has exactly the type given: `exactly<string>()(value)`. */
export declare function exactly<Expected>(): <Actual>(
  value: Actual,
  ...proof: Same<Actual, Expected> extends true ? [] : [never]
) => void;
