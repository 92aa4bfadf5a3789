"""doit's commands as this engine means them: plugins under the entry points `doit.COMMAND`, one module a purpose."""
