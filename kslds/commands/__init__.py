"""Commands beyond the stages, one module for each group; `kslds.cli` adds them."""
