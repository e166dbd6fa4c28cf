// The language client: how the server is started, what it is told, and what happens when it ends.
import { spawn, type ChildProcess } from 'node:child_process';
import * as vscode from 'vscode';
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  RevealOutputChannelOn,
  State,
  type ErrorHandler,
  type Middleware,
} from 'vscode-languageclient/node';
import type { Server } from './discovery';
import { EXPLAIN_RULE, RULE_PAGES, withCommands } from './explain';
import { commonInterpreter } from './python';
import { forServer, SECTION } from './settings';

export const SHOW_PICTURE = 'gradls.showPicture';
const OPEN_DOCUMENTATION = 'gradls.openDocumentation';
const SECONDS_TO_START = 30;
const SECONDS_TO_STOP = 2;

export interface Events {
  /** The server is ready. */
  running: () => void;
  /** The server has ended without being asked to. */
  crashed: () => void;
  /** Somebody has clicked on a lens. */
  picture: (args: unknown[]) => unknown;
}

/** A server and the client that talks to it, once: who wants another server makes another connection. */
export class Connection {
  readonly client: LanguageClient;
  private process: ChildProcess | undefined;
  private hasStarted = false;
  private isStopping = false;
  private died: (status: number | null) => void = () => undefined;

  constructor(
    private readonly server: Server,
    private readonly folder: string,
    private readonly log: vscode.LogOutputChannel,
    events: Events,
  ) {
    this.client = new QuietClient(SECTION, 'gradls', () => this.spawn(), {
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
        commands: [SHOW_PICTURE, OPEN_DOCUMENTATION],
        // Rules are shown as pages, not as the files that they are written in.
        rulePages: RULE_PAGES,
        // VS Code has findings in its hovers by itself.
        showsFindings: true,
        workspaceDiagnostics: vscode.workspace.getConfiguration(SECTION).get<boolean>('workspaceDiagnostics', true),
      },
      markdown: { isTrusted: { enabledCommands: [EXPLAIN_RULE] } },
      middleware: middleware(events),
      errorHandler: this.errorHandler(events),
      // Or it shows a message of its own.
      initializationFailedHandler: () => false,
    });
    this.client.onDidChangeState((change) => {
      if (change.newState === State.Running && !this.isStopping) {
        events.running();
      }
    });
  }

  /** Rejects if the server does not start, or does not answer. */
  async start(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const failure = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new Error(`it has not answered within ${SECONDS_TO_START} seconds`));
      }, SECONDS_TO_START * 1000);
      // The client does not notice a server that has ended before it listens.
      this.died = (status) => {
        reject(new Error(`it has ended with status ${status ?? 'unknown'}; the log says more`));
      };
    });
    try {
      await Promise.race([this.client.start(), failure]);
      this.hasStarted = true;
    } catch (error) {
      this.kill();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the server, by force if it does not answer. */
  async stop(): Promise<void> {
    const isRunning = this.client.isRunning();
    this.isStopping = true;
    if (isRunning) {
      await this.client.stop(SECONDS_TO_STOP * 1000).catch((error: unknown) => {
        this.log.debug(String(error));
      });
    }
    this.kill();
    await this.client.dispose().catch((error: unknown) => {
      this.log.debug(String(error));
    });
  }

  /** Ends a server that has not started yet, so that nobody waits for it. */
  abort(): void {
    if (!this.hasStarted) {
      this.kill();
    }
  }

  private kill(): void {
    this.isStopping = true;
    this.process?.kill('SIGKILL');
  }

  private errorHandler(events: Events): ErrorHandler {
    return {
      error: (error) => {
        this.log.warn(`talking to the server failed: ${error.message}`);
        return { action: ErrorAction.Continue, handled: true };
      },
      closed: () => {
        // When it has not started yet, whoever waits for the start is told.
        if (this.hasStarted && !this.isStopping) {
          events.crashed();
        }
        return { action: CloseAction.DoNotRestart, handled: true };
      },
    };
  }

  private spawn(): Promise<ChildProcess> {
    return new Promise((resolve, reject) => {
      const child = spawn(this.server.command, this.server.args, {
        // Not the workspace, which Python would import from.
        cwd: this.folder,
        env: { ...process.env, ...this.server.env },
      });
      this.process = child;
      child.once('spawn', () => {
        resolve(child);
      });
      child.once('error', reject);
      child.once('exit', (status) => {
        this.died(status);
      });
    });
  }
}

/** What goes wrong is told once, by this extension. */
class QuietClient extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }
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
        return sections.map((section: unknown, index): unknown => {
          const item = params.items[index];
          const scope = item?.scopeUri === undefined ? undefined : vscode.Uri.parse(item.scopeUri);
          return item?.section === SECTION ? forServer(section, python, scope) : section;
        });
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
