// Rules for the scripts of the pages and for their tests.

const BROWSER = [
  "AbortSignal", "Intl", "ResizeObserver", "URL", "addEventListener", "atob", "clearTimeout",
  "crypto", "devicePixelRatio", "document", "fetch", "history", "indexedDB", "innerHeight",
  "innerWidth", "localStorage", "location", "navigator", "performance", "requestAnimationFrame",
  "screen", "sessionStorage", "setInterval", "setTimeout", "window", "FormData", "Blob",
];
const TESTS = ["btoa", "happen", "setImmediate", "structuredClone"];
const globals = (names) => Object.fromEntries(names.map((name) => [name, "readonly"]));

const rules = {
  "array-callback-return": "error",
  "consistent-return": "error",
  "default-case": "error",
  eqeqeq: "error",
  "no-const-assign": "error",
  "no-dupe-class-members": "error",
  "no-dupe-else-if": "error",
  "no-dupe-keys": "error",
  "no-duplicate-case": "error",
  "no-empty": "error",
  "no-eval": "error",
  "no-fallthrough": "error",
  "no-implicit-globals": "error",
  "no-implied-eval": "error",
  "no-promise-executor-return": "error",
  "no-redeclare": "error",
  "no-self-assign": "error",
  "no-self-compare": "error",
  "no-shadow": "error",
  "no-undef": "error",
  "no-unmodified-loop-condition": "error",
  "no-unreachable": "error",
  "no-unused-expressions": "error",
  "no-unused-private-class-members": "error",
  "no-unused-vars": "error",
  "no-use-before-define": ["error", { functions: false }],
  "no-useless-return": "error",
  "no-var": "error",
  "prefer-const": "error",
  "require-atomic-updates": "error",
};

export default [
  { ignores: ["node_modules/**", ".venv/**", "docs/**", "results/**"] },
  {
    files: ["src/**/*.js"],
    languageOptions: { globals: globals(BROWSER) },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules,
  },
  {
    files: ["src/bonescint/report/templates/*.js"],
    languageOptions: { sourceType: "script" },
  },
  {
    files: ["tests/javascript/*.js", "eslint.config.js"],
    languageOptions: { globals: globals([...BROWSER, ...TESTS]) },
    rules,
  },
];
