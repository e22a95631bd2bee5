'use strict';

// Owns what tests ask of the types: what a file of them exports, as the compiler of TypeScript sees it.

const path = require('node:path');
const ts = require('typescript');

const LIB = path.join(__dirname, '..', '..', 'lib');

/** Names of members that are declared in lib/, not by Node's own types. */
const ours = (properties) =>
  properties
    .filter(({ declarations }) => {
      return declarations?.some((node) => node.getSourceFile().fileName.startsWith(`${LIB}/`));
    })
    .map(({ name }) => name)
    // Symbols have no name here.
    .filter((name) => !name.startsWith('__@'));

/**
 * What a file in lib/ exports: name → `{ isValue, members, properties }`. `members`: those of a class and its
 * instances; undefined for what is no class. `properties`: those of an interface, its own and inherited ones.
 */
function typesOf(file) {
  const root = path.join(LIB, file);
  const options = {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2023,
    types: ['node'],
    typeRoots: [path.join(LIB, '..', 'node_modules', '@types')],
  };
  const program = ts.createProgram([root], options);
  const checker = program.getTypeChecker();
  const module = checker.getSymbolAtLocation(program.getSourceFile(root));
  const found = new Map();
  for (const exported of checker.getExportsOfModule(module)) {
    const isAlias = exported.flags & ts.SymbolFlags.Alias;
    const symbol = isAlias ? checker.getAliasedSymbol(exported) : exported;
    const isValue = (symbol.flags & ts.SymbolFlags.Value) !== 0;
    const isClass = (symbol.flags & ts.SymbolFlags.Class) !== 0;
    const members = isClass && [
      ...ours(checker.getDeclaredTypeOfSymbol(symbol).getProperties()),
      ...ours(checker.getTypeOfSymbol(symbol).getProperties()),
    ];
    const properties = isValue ? [] : ours(checker.getDeclaredTypeOfSymbol(symbol).getProperties());
    found.set(exported.name, { isValue, members: members || undefined, properties });
  }
  return found;
}

module.exports = { typesOf };
