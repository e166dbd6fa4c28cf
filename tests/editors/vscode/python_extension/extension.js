const vscode = require('vscode');

exports.activate = () => {
  const path = process.env.TEST_PYTHON;
  const changed = new vscode.EventEmitter();
  return {
    environments: {
      known: [],
      getActiveEnvironmentPath: () => ({ id: path, path }),
      resolveEnvironment: async (environment) => ({
        id: environment.id, path: environment.path, executable: { uri: vscode.Uri.file(environment.path) },
      }),
      onDidChangeActiveEnvironmentPath: changed.event,
    },
  };
};
