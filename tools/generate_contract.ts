/** What clients are made of: the contract, the typed client over it, and the OpenAPI document. @module */

import { readContract } from './contract_model.ts'
import { createDocument } from './openapi.ts'
import { printClient } from './print_client.ts'
import { printContract } from './print_contract.ts'

/** The files, by path from the project's folder, before they are formatted. */
export async function generateContract(): Promise<Record<string, string>> {
  const contract = readContract()
  return {
    'clients/generated/contract.ts': printContract(contract),
    'clients/generated/client.ts': printClient(contract),
    'openapi.json': JSON.stringify(await createDocument(contract)),
  }
}
