"""The pages and the interface that readers use. Loaded when a study is served."""
