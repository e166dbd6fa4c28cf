// The language client: how the server is started, what it is told, and what happens when it ends.
import * as vscode from 'vscode';
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  RevealOutputChannelOn,
  State,
  type ErrorHandler,
  type LanguageClientOptions,
  type Middleware,
} from 'vscode-languageclient/node';
import type { Server } from './discovery';
import { EXPLAIN_RULE, RULE_PAGES, withCommands } from './explain';
import { commonInterpreter } from './python';
import { forServer, SECTION } from './settings';

export const SHOW_PICTURE = 'gradls.showPicture';
const OPEN_DOCUMENTATION = 'gradls.openDocumentation';
const CRASHES = 5;
const MINUTES = 3;

export interface Events {
  /** The server is ready, or has ended and is started again. */
  running: (isRunning: boolean) => void;
  /** The server has ended too often. */
  gaveUp: () => void;
  /** Somebody has clicked on a lens. */
  picture: (args: unknown[]) => unknown;
}

export function makeClient(server: Server, context: vscode.ExtensionContext, log: vscode.LogOutputChannel, events: Events): LanguageClient {
  const options: LanguageClientOptions = {
    documentSelector: [
      { language: 'python', scheme: 'file' },
      { language: 'python', scheme: 'untitled' },
      { language: 'python', scheme: 'vscode-notebook-cell' },
      // The server says what is wrong in configuration files, too.
      { scheme: 'file', pattern: '**/{gradls,pyproject}.toml' },
    ],
    outputChannel: log,
    revealOutputChannelOn: RevealOutputChannelOn.Never,
    initializationOptions: {
      trusted: vscode.workspace.isTrusted,
      commands: [SHOW_PICTURE],
      // Rules are shown as pages, not as the files that they are written in.
      rulePages: RULE_PAGES,
      // VS Code has findings in its hovers by itself.
      showsFindings: true,
    },
    markdown: { isTrusted: { enabledCommands: [EXPLAIN_RULE] } },
    middleware: middleware(events),
    errorHandler: errorHandler(events, log),
  };
  const client = new LanguageClient(
    SECTION,
    'gradls',
    {
      command: server.command,
      args: server.args,
      // Not the workspace, which Python would import from.
      options: { cwd: context.extensionPath, env: { ...process.env, ...server.env } },
    },
    options,
  );
  client.onDidChangeState((change) => {
    events.running(change.newState === State.Running);
  });
  return client;
}

function middleware(events: Events): Middleware {
  return {
    workspace: {
      // The server is only told that something has changed: it asks, and what it asks for goes through `forServer`.
      didChangeConfiguration: (_, next) => next(undefined),
      configuration: async (params, token, next) => {
        const sections = await next(params, token);
        if (!Array.isArray(sections)) {
          return sections;
        }
        const python = await commonInterpreter();
        return sections.map((section: unknown, index): unknown =>
          params.items[index]?.section === SECTION ? forServer(section, python) : section,
        );
      },
    },
    provideHover: async (document, position, token, next) => {
      const hover = await next(document, position, token);
      for (const content of hover?.contents ?? []) {
        if (content instanceof vscode.MarkdownString) {
          content.value = withCommands(content.value);
        }
      }
      return hover;
    },
    executeCommand: (command, args: unknown[], next): unknown => {
      switch (command) {
        case SHOW_PICTURE:
          return events.picture(args);
        case OPEN_DOCUMENTATION:
          return vscode.commands.executeCommand(EXPLAIN_RULE, codeIn(args[0]));
        default:
          return next(command, args);
      }
    },
  };
}

/** The code of the rule that a command's argument names. */
function codeIn(argument: unknown): unknown {
  return typeof argument === 'object' && argument !== null && 'code' in argument ? argument.code : argument;
}

function errorHandler(events: Events, log: vscode.LogOutputChannel): ErrorHandler {
  const ends: number[] = [];
  return {
    error: (error) => {
      log.warn(`talking to the server failed: ${error.message}`);
      return { action: ErrorAction.Continue, handled: true };
    },
    closed: () => {
      const now = Date.now();
      ends.push(now);
      if (ends.length >= CRASHES && now - (ends.at(-CRASHES) ?? 0) < MINUTES * 60_000) {
        events.gaveUp();
        return { action: CloseAction.DoNotRestart, handled: true };
      }
      log.warn('the server has ended without being asked to, and is started again');
      return { action: CloseAction.Restart, handled: true };
    },
  };
}
